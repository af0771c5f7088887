/**
 * The handshake of one connection as a pure machine: octets in, octets to send and a verdict out. It is the PLAIN server
 * (RFC 24: HELLO -> WELCOME | ERROR, INITIATE -> READY | ERROR) or a NULL peer (RFC 37: READY both ways).
 * State: the step it is at and the unfinished octets. Held between two
 * chunks is at most one unfinished greeting or command.
 */
import { encodeCommand, encodeError, encodeMetadata, readCommand, readHello, readMetadata } from './command.ts';
import { FLAG_COMMAND, FLAG_LONG, FLAG_MORE, FLAGS_RESERVED } from './frame.ts';
import { encodeGreeting, GREETING_BYTES, type Mechanism, readGreeting } from './greeting.ts';

/** Largest command body in a handshake: HELLO takes 517 octets at most, metadata a few properties. */
export const MAX_HANDSHAKE_COMMAND_BYTES = 2048;

/**
 * Signature and major version. libzmq closes without a word when it reads a mechanism other than its own; held back, ours
 * comes after we know what the peer wanted (a peer with NULL is the commonest mistake). libzmq too sends in these steps.
 */
const OPENING_BYTES = 11;

/** What the caller grants a peer: the socket type it may have and the one we answer with. */
export interface PeerTerms {
  readonly peerSocketType: string;
  readonly ownSocketType: string;
}

export type PeerVerdict<Grant> =
  | { readonly ok: true; readonly terms: PeerTerms; readonly grant: Grant }
  /** `code` goes over the wire; "400" is what libzmq reports as an authentication failure, and it never tries again. Without a code the line is cut, and it does. */
  | { readonly ok: false; readonly reason: string; readonly code?: string };

export interface HandshakeOptions<Grant> {
  readonly mechanism: Mechanism;
  /** Asked with the HELLO's credentials (empty ones for NULL), and again before READY: they may be withdrawn in between. */
  readonly judge: (username: string, password: string) => PeerVerdict<Grant>;
}

export type HandshakeStep<Grant> =
  | { readonly kind: 'more'; readonly send: readonly Buffer[] }
  | {
      readonly kind: 'ready';
      readonly send: readonly Buffer[];
      readonly grant: Grant;
      readonly minor: number;
      readonly socketType: string;
      /** Octets that arrived behind the handshake: the first of the peer's traffic. */
      readonly rest: Buffer;
    }
  | { readonly kind: 'refused'; readonly send: readonly Buffer[]; readonly reason: string };

export interface Handshake<Grant> {
  /** To be sent as soon as the connection is open; the rest of the greeting follows when the peer's has come. */
  readonly opening: Buffer;
  /** Takes what arrived (copied if it must be kept). Not to be called again after `ready` or `refused`. */
  feed(chunk: Uint8Array): HandshakeStep<Grant>;
  /** Where it stands, for the reason of a time-out. */
  awaiting(): string;
}

type Stage = 'greeting' | 'HELLO' | 'INITIATE' | 'READY';

export function createHandshake<Grant>(options: HandshakeOptions<Grant>): Handshake<Grant> {
  const { mechanism, judge } = options;
  const own = encodeGreeting(mechanism, mechanism === 'PLAIN');
  let held: Buffer = Buffer.alloc(0);
  let stage: Stage = 'greeting';
  let minor = 0;
  let verdict: Extract<PeerVerdict<Grant>, { ok: true }> | undefined;
  let judgeAgain = (): PeerVerdict<Grant> => judge('', '');
  let send: Buffer[] = [];

  const refuse = (reason: string, code?: string): HandshakeStep<Grant> => {
    if (code !== undefined) send.push(encodeError(code));
    return { kind: 'refused', send, reason };
  };
  const ready = (terms: PeerTerms): Buffer => {
    const identity = terms.ownSocketType === 'ROUTER' ? { Identity: '' } : {};
    return encodeCommand('READY', encodeMetadata({ 'Socket-Type': terms.ownSocketType, ...identity }));
  };

  /** The NULL peer is judged by its address and port alone, so before any command. */
  const afterGreeting = (): HandshakeStep<Grant> | undefined => {
    if (mechanism === 'PLAIN') {
      stage = 'HELLO';
      return undefined;
    }
    const answer = judge('', '');
    if (!answer.ok) return refuse(answer.reason, answer.code);
    verdict = answer;
    stage = 'READY';
    send.push(ready(answer.terms));
    return undefined;
  };

  const onGreeting = (): HandshakeStep<Grant> | 'wait' | undefined => {
    const read = readGreeting(held);
    if (read.kind === 'more') return 'wait';
    if (read.kind === 'malformed') return refuse(read.reason);
    const { greeting } = read;
    send.push(own.subarray(OPENING_BYTES));
    if (greeting.mechanism !== mechanism) return refuse(mechanismReason(mechanism, greeting.mechanism));
    if (greeting.asServer && mechanism === 'PLAIN') return refuse('the peer claims to be the PLAIN server too');
    minor = greeting.minor;
    held = held.subarray(GREETING_BYTES);
    return afterGreeting();
  };

  const onHello = (data: Buffer): HandshakeStep<Grant> | undefined => {
    const hello = readHello(data);
    if (hello === undefined) return refuse('malformed HELLO');
    judgeAgain = () => judge(hello.username, hello.password);
    const answer = judgeAgain();
    if (!answer.ok) return refuse(answer.reason, answer.code);
    verdict = answer;
    stage = 'INITIATE';
    send.push(encodeCommand('WELCOME'));
    return undefined;
  };

  const onMetadata = (data: Buffer): HandshakeStep<Grant> => {
    if (verdict === undefined) return refuse('metadata before credentials');
    const metadata = readMetadata(data);
    if (metadata === undefined) return refuse('malformed metadata');
    const { terms, grant } = verdict;
    const socketType = metadata.get('socket-type')?.toString('latin1') ?? 'none';
    if (socketType !== terms.peerSocketType) {
      const shown = /^[A-Z]{1,16}$/.test(socketType) ? socketType : 'unknown';
      const reason = `socket type ${shown}, this credential needs ${terms.peerSocketType}`;
      return refuse(reason, stage === 'INITIATE' ? `socket-type-must-be-${terms.peerSocketType}` : undefined);
    }
    const again = judgeAgain();
    if (!again.ok) return refuse(again.reason, stage === 'INITIATE' ? again.code : undefined);
    if (stage === 'INITIATE') send.push(ready(terms));
    return { kind: 'ready', send, grant, minor, socketType, rest: held };
  };

  const onCommand = (body: Buffer): HandshakeStep<Grant> | undefined => {
    const command = readCommand(body);
    if (command === undefined) return refuse('malformed command');
    if (command.name === 'ERROR') return refuse('the peer sent ERROR');
    if (command.name !== stage) return refuse(`expected ${stage}, got ${command.name.slice(0, 16)}`);
    return stage === 'HELLO' ? onHello(command.data) : onMetadata(command.data);
  };

  const step = (): HandshakeStep<Grant> => {
    for (;;) {
      if (stage === 'greeting') {
        const outcome = onGreeting();
        if (outcome === 'wait') return { kind: 'more', send };
        if (outcome !== undefined) return outcome;
        continue;
      }
      const frame = readCommandFrame(held);
      if (frame.kind === 'more') return { kind: 'more', send };
      if (frame.kind === 'malformed') return refuse(frame.reason);
      held = held.subarray(frame.end);
      const outcome = onCommand(frame.body);
      if (outcome !== undefined) return outcome;
    }
  };

  return {
    opening: own.subarray(0, OPENING_BYTES),
    awaiting: () => stage,
    feed(chunk) {
      send = [];
      held = Buffer.concat([held, chunk]);
      return step();
    },
  };
}

function mechanismReason(own: Mechanism, theirs: string): string {
  if (own === 'PLAIN' && theirs === 'NULL')
    return 'mechanism NULL: no credentials (set plain_username and plain_password)';
  return `mechanism ${theirs}, this stream takes ${own}`;
}

type CommandFrame =
  | { readonly kind: 'more' }
  | { readonly kind: 'command'; readonly body: Buffer; readonly end: number }
  | { readonly kind: 'malformed'; readonly reason: string };

function readCommandFrame(held: Buffer): CommandFrame {
  const flags = held[0];
  if (flags === undefined) return { kind: 'more' };
  if ((flags & FLAGS_RESERVED) !== 0 || (flags & FLAG_MORE) !== 0 || (flags & FLAG_COMMAND) === 0) {
    return { kind: 'malformed', reason: 'expected a command in the handshake' };
  }
  const long = (flags & FLAG_LONG) !== 0;
  const bodyAt = long ? 9 : 2;
  if (held.length < bodyAt) return { kind: 'more' };
  const size = long ? held.readBigUInt64BE(1) : BigInt(held[1] ?? 0);
  if (size > BigInt(MAX_HANDSHAKE_COMMAND_BYTES)) {
    return { kind: 'malformed', reason: `command larger than ${MAX_HANDSHAKE_COMMAND_BYTES} bytes in the handshake` };
  }
  const end = bodyAt + Number(size);
  return held.length < end ? { kind: 'more' } : { kind: 'command', body: held.subarray(bodyAt, end), end };
}
