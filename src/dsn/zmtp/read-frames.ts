/**
 * Reads small whole frames, body and all: what consumers send back (acknowledgements, heartbeats). Producers' frames go
 * through `scan-frames.ts`, which does not look at bodies.
 * Owns no state; octets of an unfinished frame stay with the caller, at most a header and `MAX_SMALL_BODY_BYTES`.
 */
import { FLAG_COMMAND, FLAG_LONG, FLAG_MORE, FLAGS_RESERVED } from './frame.ts';

export const MAX_SMALL_BODY_BYTES = 255;

export interface SmallFrame {
  readonly command: boolean;
  readonly more: boolean;
  /** A view into the scanned buffer, valid until it is reused. */
  readonly body: Buffer;
}

export interface SmallFramesRead {
  readonly frames: readonly SmallFrame[];
  /** Offset of the first octet left unread. */
  readonly end: number;
  readonly violation?: string;
}

export function readSmallFrames(bytes: Buffer, from: number, to: number): SmallFramesRead {
  const frames: SmallFrame[] = [];
  let at = from;
  while (at < to) {
    const flags = bytes[at] ?? 0;
    const command = (flags & FLAG_COMMAND) !== 0;
    const more = (flags & FLAG_MORE) !== 0;
    if ((flags & FLAGS_RESERVED) !== 0 || (command && more)) {
      return { frames, end: at, violation: `malformed frame: flags 0x${flags.toString(16).padStart(2, '0')}` };
    }
    const long = (flags & FLAG_LONG) !== 0;
    const bodyAt = at + (long ? 9 : 2);
    if (bodyAt > to) break;
    const size = long ? bytes.readUInt32BE(at + 1) * 4_294_967_296 + bytes.readUInt32BE(at + 5) : (bytes[at + 1] ?? 0);
    if (size > MAX_SMALL_BODY_BYTES) {
      return {
        frames,
        end: at,
        violation: `a frame of ${size} bytes where at most ${MAX_SMALL_BODY_BYTES} are allowed`,
      };
    }
    if (bodyAt + size > to) break;
    frames.push({ command, more, body: bytes.subarray(bodyAt, bodyAt + size) });
    at = bodyAt + size;
  }
  return { frames, end: at };
}
