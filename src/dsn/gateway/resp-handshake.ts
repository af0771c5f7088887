/**
 * The first words of a Redis client and of its broker, as data: who it says it is, what it is answered, and what its broker is asked in its place. Pure but for `judge`; no socket
 * here. What it sends before it is known is answered as Redis would (NOAUTH), so that client libraries find what they expect.
 */
import { command, failure, readCommand, simple } from '../resp/index.ts';
import type { Grant, Handshake, Judge, Step, Upstream } from './protocol.ts';

const NOAUTH = failure('NOAUTH Authentication required.');
/** Of everything that is sent before AUTH. */
const MOST_BYTES = 16 * 1024;
const MOST_COMMANDS = 32;

const LONGEST_ANSWER = 4096;

export function respHandshake(judge: Judge, upstream: (grant: Grant) => Upstream): Handshake {
  let held: Buffer = Buffer.alloc(0);
  let answer = '';
  let commands = 0;
  let login: Upstream | undefined;
  let ready: { readonly say: string; readonly up: Buffer } | undefined;
  const refused = (reason: string, toClient: string): Step => ({ toClient, next: { kind: 'refused', reason } });
  return {
    fromClient(octets) {
      held = Buffer.concat([held, octets]);
      if (held.length > MOST_BYTES) return refused('too much before AUTH', failure('ERR too much before AUTH'));
      let send = '';
      for (let at = 0; ; ) {
        const read = readCommand(held, at);
        if (read.kind === 'violation')
          return refused(read.reason, `${send}${failure(`ERR Protocol error: ${read.reason}`)}`);
        if (read.kind === 'more') {
          held = held.subarray(at);
          return { toClient: send, next: { kind: 'more' } };
        }
        at = read.end;
        commands += 1;
        const said = answerTo(read.words, judge);
        if (said.kind === 'known') {
          login = upstream(said.grant);
          ready = { say: send + said.say, up: Buffer.concat([said.ask, held.subarray(at)]) };
          return { next: { kind: 'join', grant: said.grant, login }, hold: true };
        }
        send += said.say;
        if (said.kind === 'refused') return refused(said.reason, send);
        if (commands > MOST_COMMANDS)
          return refused('no AUTH', `${send}${failure('ERR too many commands before AUTH')}`);
      }
    },
    brokerUp: () => ({
      toBroker: login === undefined ? '' : command('AUTH', login.username, login.password),
      next: { kind: 'more' },
    }),
    fromBroker(octets) {
      answer += octets.toString('latin1');
      if (!answer.includes('\r\n') && answer.length < LONGEST_ANSWER) return { next: { kind: 'more' } };
      // It answers one line to AUTH and says nothing unasked.
      if (answer !== '+OK\r\n' || ready === undefined) return refused('the broker does not take the gateway', AWAY);
      return { toClient: ready.say, next: { kind: 'joined', up: ready.up, down: Buffer.alloc(0) } };
    },
    brokerAway: () => failure('LOADING the stream is starting; try again (beamway)'),
  };
}

const AWAY = failure('ERR the stream is not available (beamway)');

type Answer =
  | { readonly kind: 'said'; readonly say: string }
  | { readonly kind: 'refused'; readonly say: string; readonly reason: string }
  | { readonly kind: 'known'; readonly say: string; readonly grant: Grant; readonly ask: Buffer };

function answerTo(words: readonly string[], judge: Judge): Answer {
  const name = words[0]?.toUpperCase() ?? '';
  if (name === '') return { kind: 'said', say: '' };
  if (name === 'QUIT') return { kind: 'refused', say: simple('OK'), reason: 'the client quit' };
  if (name === 'AUTH') return auth(words.slice(1), judge);
  if (name === 'HELLO') return hello(words.slice(1), judge);
  return { kind: 'said', say: NOAUTH };
}

/** As Redis says it, with our reason behind. */
const wrong = (reason: string): Answer => ({
  kind: 'refused',
  say: failure(`WRONGPASS ${reason} (beamway)`),
  reason,
});

function auth(words: readonly string[], judge: Judge): Answer {
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
function hello(words: readonly string[], judge: Judge): Answer {
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
