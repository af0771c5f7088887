/**
 * Walks AMQP frames in one direction, whatever the reads they come in: counts messages and bounds lengths without copying or keeping a payload. State: where in a frame it stands.
 * Not a judge of rights: those are the broker's own.
 */
import { FRAME, FRAME_END, FRAME_OVERHEAD, METHOD, REPLY } from './frame.ts';

export interface Violation {
  readonly code: number;
  readonly reason: string;
  /** It is one message more than there was room for: so many octets of this walk stand before it. */
  readonly before?: number;
}

export interface FrameCounts {
  /** Basic.Publish from a client; Basic.Deliver and Basic.GetOk from a broker. */
  readonly messages: number;
  /** Delivered with the redelivered bit. */
  readonly redelivered: number;
  /** Basic.Nack frames: from a broker, what a full queue refused (one may stand for several). */
  readonly nacks: number;
  /** Published on a channel that had not selected confirms: what is refused of them, nobody is told. */
  readonly unconfirmed: number;
}

export interface FrameWalker {
  /** What is wrong with the octets; undefined: nothing. After a violation it is not to be asked again. */
  /** `room`: so many messages may still begin. */
  walk(octets: Uint8Array, room?: number): Violation | undefined;
  /** Like `walk`, but stops behind the first frame that ends in `octets`: how many octets that is; undefined where none ends. Violations count as an end at 0. */
  walkToEnd(octets: Uint8Array): number | undefined;
  atBoundary(): boolean;
  /** Until the frame ends at least so many octets are missing; 0 between two frames. */
  missing(): number;
  counts(): FrameCounts;
}

export interface WalkBounds {
  /** As negotiated; 0: no limit. */
  readonly maxFrameBytes: number;
  /** Of one message's content. */
  readonly maxMessageBytes: number;
}

/** Header of the frame and as much of its payload as is looked at. */
const HEAD_BYTES = 7;
const LOOKED_BYTES = 12;
const NO_ROOM: Violation = { code: REPLY.forced, reason: 'no room for one more message' };

export function frameWalker({ maxFrameBytes, maxMessageBytes }: WalkBounds): FrameWalker {
  const mostPayload = maxFrameBytes === 0 ? 0xffff_ffff : maxFrameBytes - FRAME_OVERHEAD;
  const head = new Uint8Array(HEAD_BYTES + LOOKED_BYTES);
  const confirming = new Set<number>();
  let filled = 0;
  let skip = 0;
  let end = false;
  /** Octets of payload until the one that holds the redelivered bit; -1: not looked for. */
  let flagIn = -1;
  let [messages, redelivered, nacks, unconfirmed] = [0, 0, 0, 0];
  let mostMessages = Number.POSITIVE_INFINITY;

  const u32 = (b: Uint8Array, at: number): number =>
    (b[at] ?? 0) * 0x100_0000 + (((b[at + 1] ?? 0) << 16) | ((b[at + 2] ?? 0) << 8) | (b[at + 3] ?? 0));

  /** How much of the payload of the frame whose header stands at `b[at]` is looked at; or what is wrong. */
  const lookedAt = (b: Uint8Array, at: number): number | Violation => {
    const type = b[at] ?? 0;
    const size = u32(b, at + 3);
    if (size > mostPayload)
      return { code: REPLY.frameError, reason: `a frame of ${size} octets; at most ${mostPayload} were agreed` };
    if (type === FRAME.method || type === FRAME.header) return Math.min(size, LOOKED_BYTES);
    if (type === FRAME.body || type === FRAME.heartbeat) return 0;
    return { code: REPLY.frameError, reason: `a frame of the unknown type ${type}` };
  };
  const method = (b: Uint8Array, at: number, size: number): void => {
    const channel = ((b[at + 1] ?? 0) << 8) | (b[at + 2] ?? 0);
    switch (u32(b, at + 7)) {
      case METHOD.publish:
        messages += 1;
        if (!confirming.has(channel)) unconfirmed += 1;
        break;
      case METHOD.confirmSelect:
        confirming.add(channel);
        break;
      case METHOD.getOk: {
        messages += 1;
        if (size > 12) flagIn = 12;
        break;
      }
      case METHOD.deliver: {
        messages += 1;
        // Consumer tag (short string), delivery tag (8 octets), then the bit.
        const offset = 4 + 1 + (b[at + 11] ?? 0) + 8;
        if (size > offset) flagIn = offset;
        break;
      }
      case METHOD.nack:
        nacks += 1;
        break;
      default:
    }
  };
  /** The header at `b[at]` with `looked` octets of payload behind it is there. */
  const begin = (b: Uint8Array, at: number, looked: number): Violation | undefined => {
    const type = b[at] ?? 0;
    const size = u32(b, at + 3);
    flagIn = -1;
    if (type === FRAME.method && looked >= 4) {
      if (messages >= mostMessages && u32(b, at + 7) === METHOD.publish) return NO_ROOM;
      method(b, at, size);
    }
    if (type === FRAME.header && looked >= 12) {
      const high = u32(b, at + 11);
      const bytes = high * 0x1_0000_0000 + u32(b, at + 15);
      if (bytes > maxMessageBytes)
        return {
          code: REPLY.contentTooLarge,
          reason: `a message of ${bytes} octets; at most ${maxMessageBytes} are taken here`,
        };
    }
    // The bit lies behind what was looked at, or is its last octet.
    if (flagIn >= 0) flagIn -= looked;
    skip = size - looked;
    end = true;
    return undefined;
  };
  /** Goes over octets that are in no header; undefined where it stands before a header or nothing is left. */
  const walkOn = (octets: Uint8Array, from: number): number => {
    const count = Math.min(skip, octets.length - from);
    if (flagIn >= 0 && flagIn < count) {
      if (((octets[from + flagIn] ?? 0) & 1) === 1) redelivered += 1;
      flagIn = -1;
    } else if (flagIn >= 0) flagIn -= count;
    skip -= count;
    return from + count;
  };

  /** Walks from 0; with `once` up to the first end. Resolves to where it stopped, or the violation. */
  const run = (octets: Uint8Array, once: boolean): number | Violation => {
    for (let at = 0; at < octets.length; ) {
      if (skip > 0) {
        at = walkOn(octets, at);
        continue;
      }
      if (end) {
        if (octets[at] !== FRAME_END)
          return { code: REPLY.frameError, reason: 'a frame that does not end where it says' };
        end = false;
        at += 1;
        if (once) return at;
        continue;
      }
      if (filled === 0 && octets.length - at >= head.length) {
        const looked = lookedAt(octets, at);
        if (typeof looked !== 'number') return looked;
        const wrong = begin(octets, at, looked);
        if (wrong !== undefined) return wrong === NO_ROOM ? { ...wrong, before: at } : wrong;
        at += HEAD_BYTES + looked;
        continue;
      }
      head[filled++] = octets[at++] ?? 0;
      if (filled < HEAD_BYTES) continue;
      const looked = lookedAt(head, 0);
      if (typeof looked !== 'number') return looked;
      if (filled < HEAD_BYTES + looked) continue;
      const stood = Math.max(0, at - filled);
      filled = 0;
      const wrong = begin(head, 0, looked);
      if (wrong !== undefined) return wrong === NO_ROOM ? { ...wrong, before: stood } : wrong;
    }
    return once ? -1 : octets.length;
  };

  return {
    walk(octets, room = Number.POSITIVE_INFINITY) {
      mostMessages = messages + room;
      const ran = run(octets, false);
      return typeof ran === 'number' ? undefined : ran;
    },
    walkToEnd(octets) {
      const ran = run(octets, true);
      if (typeof ran !== 'number') return 0;
      return ran < 0 ? undefined : ran;
    },
    atBoundary: () => filled === 0 && skip === 0 && !end,
    missing: () => (filled > 0 ? 1 : skip + (end ? 1 : 0)),
    counts: () => ({ messages, redelivered, nacks, unconfirmed }),
  };
}
