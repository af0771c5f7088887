/**
 * The first words of a Redis client, as data: who it says it is, what it is answered, and what its broker is to be asked in its place. Pure but for `judge`; no socket here. What it
 * sends before it is known is answered as Redis would (NOAUTH), so that client libraries find what they expect.
 */
import { command, failure, readCommand, simple } from '../resp/index.ts';

export type Judgement<G> = { readonly ok: true; readonly grant: G } | { readonly ok: false; readonly reason: string };

export type RespStep<G> =
  /** Goes on. */
  | { readonly kind: 'more'; readonly send: string }
  /** `ask`: what the broker is to be sent once it is logged in; empty where `send` has answered already. `rest`: what came behind. */
  | { readonly kind: 'ready'; readonly send: string; readonly grant: G; readonly ask: Buffer; readonly rest: Buffer }
  | { readonly kind: 'refused'; readonly send: string; readonly reason: string };

export interface RespHandshake<G> {
  feed(octets: Buffer): RespStep<G>;
}

const NOAUTH = failure('NOAUTH Authentication required.');
/** Of everything that is sent before AUTH. */
const MOST_BYTES = 16 * 1024;
const MOST_COMMANDS = 32;

export function respHandshake<G>(judge: (username: string, password: string) => Judgement<G>): RespHandshake<G> {
  let held: Buffer = Buffer.alloc(0);
  let commands = 0;
  return {
    feed(octets) {
      held = Buffer.concat([held, octets]);
      if (held.length > MOST_BYTES)
        return { kind: 'refused', send: failure('ERR too much before AUTH'), reason: 'too much before AUTH' };
      let send = '';
      for (let at = 0; ; ) {
        const read = readCommand(held, at);
        if (read.kind === 'violation')
          return {
            kind: 'refused',
            send: `${send}${failure(`ERR Protocol error: ${read.reason}`)}`,
            reason: read.reason,
          };
        if (read.kind === 'more') {
          held = held.subarray(at);
          return { kind: 'more', send };
        }
        at = read.end;
        commands += 1;
        const answer = answerTo(read.words, judge);
        if (answer.kind === 'known') {
          const { grant, ask, say } = answer;
          return { kind: 'ready', send: send + say, grant, ask, rest: Buffer.from(held.subarray(at)) };
        }
        send += answer.say;
        if (answer.kind === 'refused') return { kind: 'refused', send, reason: answer.reason };
        if (commands > MOST_COMMANDS)
          return { kind: 'refused', send: `${send}${failure('ERR too many commands before AUTH')}`, reason: 'no AUTH' };
      }
    },
  };
}

type Answer<G> =
  | { readonly kind: 'said'; readonly say: string }
  | { readonly kind: 'refused'; readonly say: string; readonly reason: string }
  | { readonly kind: 'known'; readonly say: string; readonly grant: G; readonly ask: Buffer };

function answerTo<G>(words: readonly string[], judge: (name: string, password: string) => Judgement<G>): Answer<G> {
  const name = words[0]?.toUpperCase() ?? '';
  if (name === '') return { kind: 'said', say: '' };
  if (name === 'QUIT') return { kind: 'refused', say: simple('OK'), reason: 'the client quit' };
  if (name === 'AUTH') return auth(words.slice(1), judge);
  if (name === 'HELLO') return hello(words.slice(1), judge);
  return { kind: 'said', say: NOAUTH };
}

/** As Redis says it, with our reason behind. */
const wrong = <G>(reason: string): Answer<G> => ({
  kind: 'refused',
  say: failure(`WRONGPASS ${reason} (beamway)`),
  reason,
});

function auth<G>(words: readonly string[], judge: (name: string, password: string) => Judgement<G>): Answer<G> {
  const [username, password] = words;
  if (username === undefined || words.length > 2)
    return { kind: 'said', say: failure("ERR wrong number of arguments for 'auth' command") };
  if (password === undefined)
    return wrong('a user name and a password are needed: redis://USER:PASSWORD@… (from `beamway stream credential`)');
  const verdict = judge(username, password);
  if (!verdict.ok) return wrong(verdict.reason);
  return { kind: 'known', say: simple('OK'), grant: verdict.grant, ask: Buffer.alloc(0) };
}

/** HELLO [protover [AUTH username password] [SETNAME clientname]] */
function hello<G>(words: readonly string[], judge: (name: string, password: string) => Judgement<G>): Answer<G> {
  const at = words.findIndex((word) => word.toUpperCase() === 'AUTH');
  const [username, password] = at < 0 ? [] : words.slice(at + 1, at + 3);
  if (username === undefined || password === undefined)
    return {
      kind: 'said',
      say: failure('NOAUTH HELLO must be called with the client already authenticated, or with the AUTH option'),
    };
  const verdict = judge(username, password);
  if (!verdict.ok) return wrong(verdict.reason);
  const ask = command('HELLO', ...words.slice(0, at), ...words.slice(at + 3));
  return { kind: 'known', say: '', grant: verdict.grant, ask };
}
