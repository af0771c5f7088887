/**
 * Finds message boundaries in a stream of frames by reading headers only; bodies are stepped over, never copied.
 * State: how far into which message the stream is. A header or a command that is not whole yet is left unread: the
 * caller keeps those few octets in front of what it reads next (RFC 37, "Framing").
 */
import { FLAG_COMMAND, FLAG_LONG, FLAG_MORE, FLAGS_RESERVED, LONG_HEADER_BYTES, SHORT_HEADER_BYTES } from './frame.ts';

export interface FrameSink {
  /** Octets [start, end) of the scanned buffer belong to the current message, headers included. */
  piece(start: number, end: number): void;
  /** The current message is whole with the pieces reported so far. */
  message(): void;
  /** A command's body; a view, valid during the call only. */
  command(body: Buffer): void;
}

export interface FrameLimits {
  /** Largest sum of the bodies of one message, bytes. */
  readonly maxMessageBytes: number;
  readonly maxCommandBytes: number;
}

/** libzmq sets no limit; a message of empty frames would otherwise grow without its bodies growing. */
export const MAX_FRAMES_PER_MESSAGE = 65_536;

export interface FrameScanner {
  /** Scans octets [from, to) and returns the offset of the first octet it left unread (`to` when it took all). */
  scan(bytes: Buffer, from: number, to: number): number;
  /** Why the stream cannot be read on; once set it stays and `scan` takes nothing more. */
  violation(): string | undefined;
  /** True between messages. */
  atBoundary(): boolean;
  /** Octets worth reading to get to the end of the current frame: what is left of its body, or a header. */
  missing(): number;
}

export function scanFrames(limits: FrameLimits, sink: FrameSink): FrameScanner {
  let rest = 0; // octets of the current frame's body still to come
  let more = false; // the current or last frame announced another one
  let inMessage = false;
  let bodies = 0;
  let frames = 0;
  let broken: string | undefined;

  const scan = (bytes: Buffer, from: number, to: number): number => {
    let at = from;
    let pieceFrom = from;
    const cutPiece = (end: number): void => {
      if (end > pieceFrom) sink.piece(pieceFrom, end);
    };
    while (broken === undefined) {
      if (rest > 0) {
        const step = Math.min(rest, to - at);
        rest -= step;
        at += step;
        if (rest > 0) break;
      }
      if (inMessage && !more) {
        cutPiece(at);
        pieceFrom = at;
        inMessage = false;
        bodies = 0;
        frames = 0;
        sink.message();
      }
      const flags = bytes[at];
      if (flags === undefined || at >= to) break;
      if ((flags & FLAGS_RESERVED) !== 0 || (flags & (FLAG_COMMAND | FLAG_MORE)) === (FLAG_COMMAND | FLAG_MORE)) {
        broken = `malformed frame: flags 0x${flags.toString(16).padStart(2, '0')}`;
        break;
      }
      const long = (flags & FLAG_LONG) !== 0;
      const bodyAt = at + (long ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES);
      if (bodyAt > to) break;
      const size = long
        ? bytes.readUInt32BE(at + 1) * 4_294_967_296 + bytes.readUInt32BE(at + 5)
        : (bytes[at + 1] ?? 0);
      if ((flags & FLAG_COMMAND) !== 0) {
        if (size > limits.maxCommandBytes) broken = `command larger than ${limits.maxCommandBytes} bytes`;
        if (broken !== undefined || bodyAt + size > to) break;
        cutPiece(at);
        at = bodyAt + size;
        pieceFrom = at;
        sink.command(bytes.subarray(bodyAt, at));
        continue;
      }
      bodies += size;
      frames += 1;
      if (bodies > limits.maxMessageBytes) broken = `message larger than ${limits.maxMessageBytes} bytes`;
      else if (frames > MAX_FRAMES_PER_MESSAGE) broken = `message of more than ${MAX_FRAMES_PER_MESSAGE} frames`;
      inMessage = true;
      more = (flags & FLAG_MORE) !== 0;
      rest = size;
      at = bodyAt;
    }
    cutPiece(at);
    return at;
  };

  return {
    scan: (bytes, from, to) => (broken === undefined ? scan(bytes, from, to) : from),
    violation: () => broken,
    atBoundary: () => !inMessage,
    missing: () => Math.max(LONG_HEADER_BYTES, rest),
  };
}
