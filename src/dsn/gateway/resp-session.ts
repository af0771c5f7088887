/**
 * One Redis client's connection through the gateway: its handshake is taken here, its credential swapped for the broker's, which it never sees; from then on octets pass both ways
 * without being copied, walked in one direction. State: the stage it is in. Every way out goes through `close`, which gives slabs and both sockets back.
 */
import type { Clock } from '../../clock.ts';
import { command, commandScanner, failure } from '../resp/index.ts';
import { connectSocket, type InPlaceReader, type MeasuredSocket } from '../sockets/adopt-socket.ts';
import type { SlabPool } from '../sockets/slab.ts';
import { type Splice, splice } from '../sockets/splice.ts';
import { type Judgement, type RespStep, respHandshake } from './resp-handshake.ts';

export interface Grant {
  readonly role: 'producer' | 'consumer';
  readonly credentialId: string;
}

/** Where the broker is, and as whom a role logs in there. */
export interface Upstream {
  readonly path: string;
  readonly username: string;
  readonly password: string;
}

export interface SessionOptions {
  readonly clock: Clock;
  readonly pool: SlabPool;
  readonly handshakeTimeoutMs: number;
  /** Of one argument of a command. */
  readonly maxMessageBytes: number;
  readonly openSocket: (reader: InPlaceReader) => MeasuredSocket;
  readonly judge: (remoteAddress: string, username: string, password: string) => Judgement<Grant>;
  readonly upstream: (role: Grant['role']) => Upstream;
  /** Called once the broker has taken it. */
  readonly onKnown: (session: Session) => void;
  /** Called once both sockets are gone. */
  readonly onClosed: (session: Session, reason: string) => void;
}

export interface Session {
  readonly remoteAddress: string;
  /** Undefined until the broker has taken it. */
  grant(): Grant | undefined;
  /** From the moment it was let in, the broker still being asked: what is revoked meanwhile must find it. */
  judged(): Grant | undefined;
  connectedAtMs(): number;
  messages(): number;
  bytesIn(): number;
  bytesOut(): number;
  close(reason: string): void;
}

/** For what is read before a client is known, and for the broker's answer to our AUTH. */
const SMALL_READ_BYTES = 4096;
const LAST_WORD_MS = 500;
const NOTHING = new Uint8Array();
const BROKER_MS = 5000;

export function respSession(options: SessionOptions): Session {
  const { clock, pool } = options;
  const scanner = commandScanner({ maxWordBytes: options.maxMessageBytes });
  const handshake = respHandshake<Grant>((name, password) => options.judge(remoteAddress, name, password));
  const small = Buffer.allocUnsafeSlow(SMALL_READ_BYTES);
  let grant: Grant | undefined;
  let judged: Grant | undefined;
  let connectedAtMs = 0;
  let reason = 'closed by the client';
  let refused = false;
  let up: Splice | undefined;
  let down: Splice | undefined;
  let broker: MeasuredSocket | undefined;
  let stopTimer = (): void => undefined;

  const reader: InPlaceReader = {
    region: () => up?.region() ?? small,
    filled(count) {
      if (up !== undefined) return up.filled(count);
      if (refused) return false;
      return take(handshake.feed(Buffer.from(small.subarray(0, count))));
    },
  };
  const client = options.openSocket(reader);
  const remoteAddress = client.remoteAddress ?? 'unknown';

  const close = (why: string): void => {
    if (!client.destroyed) reason = why;
    client.destroy();
    broker?.destroy();
  };
  const refuse = (why: string, say: string): boolean => {
    refused = true;
    reason = why;
    stopTimer();
    stopTimer = clock.after(LAST_WORD_MS, () => client.destroy());
    if (say === '') client.destroy();
    else client.end(say);
    return true;
  };
  const take = (step: RespStep<Grant>): boolean => {
    if (step.kind === 'refused') return refuse(step.reason, step.send);
    if (step.send !== '' && step.kind === 'more') client.write(step.send);
    if (step.kind === 'more') return true;
    joinBroker(step);
    return false;
  };

  const joinBroker = ({ grant: asked, send, ask, rest }: Extract<RespStep<Grant>, { kind: 'ready' }>): void => {
    judged = asked;
    const { path, username, password } = options.upstream(asked.role);
    const answer = Buffer.allocUnsafeSlow(SMALL_READ_BYTES);
    let fill = 0;
    const joined = (): void => {
      stopTimer();
      grant = asked;
      connectedAtMs = clock.now();
      const target = broker;
      if (target === undefined || client.destroyed) {
        close('the client went away');
        return;
      }
      if (send !== '') client.write(send);
      down = splice({ pool, target: client, resume: () => target.resume() });
      down.begin(NOTHING);
      options.onKnown(session);
      if (client.destroyed) return;
      if (ask.length > 0) target.write(ask);
      up?.begin(rest);
      client.resume();
    };
    broker = connectSocket(
      { path },
      {
        region: () => down?.region() ?? answer.subarray(fill),
        filled(count) {
          if (down !== undefined) return down.filled(count);
          fill += count;
          const text = answer.toString('latin1', 0, fill);
          if (!text.includes('\r\n')) return fill < SMALL_READ_BYTES;
          // It answers one line to AUTH and says nothing unasked.
          if (text === '+OK\r\n') joined();
          else refuse('the broker does not take the gateway', failure('ERR the stream is not available (beamway)'));
          return true;
        },
      },
    );
    // Now, as the region after this one is asked for at once; what fills it waits in the kernel until the broker has taken us.
    up = splice({ pool, target: broker, resume: () => client.resume(), inspect });
    broker.on('connect', () => broker?.write(command('AUTH', username, password)));
    broker.on('error', () => undefined);
    broker.on('end', () => broker?.destroy());
    broker.on('close', () => {
      if (client.destroyed) return;
      if (grant !== undefined) close('the broker ended the connection');
      else if (!refused) refuse('the broker is away', failure('LOADING the stream is starting; try again (beamway)'));
    });
    stopTimer();
    stopTimer = clock.after(BROKER_MS, () => close('the broker did not answer'));
  };

  const inspect = (octets: Uint8Array): boolean => {
    const violation = scanner.scan(octets);
    if (violation === undefined) return true;
    refuse(violation, failure(`ERR Protocol error: ${violation} (beamway)`));
    broker?.destroy();
    return false;
  };

  const session: Session = {
    remoteAddress,
    grant: () => grant,
    judged: () => judged,
    connectedAtMs: () => connectedAtMs,
    messages: scanner.messages,
    bytesIn: () => up?.bytes() ?? 0,
    bytesOut: () => down?.bytes() ?? 0,
    close,
  };
  stopTimer = clock.after(options.handshakeTimeoutMs, () => close(`no AUTH in ${options.handshakeTimeoutMs} ms`));
  client.on('error', (error: NodeJS.ErrnoException) => {
    reason = error.code ?? error.message;
  });
  client.on('end', () => client.destroy());
  client.on('close', () => {
    stopTimer();
    broker?.destroy();
    up?.end();
    down?.end();
    options.onClosed(session, reason);
  });
  return session;
}
