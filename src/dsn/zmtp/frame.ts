/**
 * ZMTP frame headers (RFC 37/ZMTP 3.1, section "Framing"; identical in RFC 23/ZMTP 3.0): one flags octet, then the
 * body's length in one octet or, with the LONG flag, in eight (network byte order).
 * Owns no state.
 */

export const FLAG_MORE = 0x01;
export const FLAG_LONG = 0x02;
export const FLAG_COMMAND = 0x04;
/** Bits 3..7 "are reserved for future use and MUST be zero". */
export const FLAGS_RESERVED = 0xf8;

export const SHORT_HEADER_BYTES = 2;
export const LONG_HEADER_BYTES = 9;

/** Bytes of the header that announces a body of `bodyBytes` bytes. */
export function headerBytes(bodyBytes: number): number {
  return bodyBytes > 255 ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES;
}

/** Writes the header at `at`, returns the offset after it. `bodyBytes` below 2^53. */
export function writeHeader(
  into: Buffer,
  at: number,
  frame: { readonly flags: number; readonly bodyBytes: number },
): number {
  if (frame.bodyBytes > 255) {
    into[at] = frame.flags | FLAG_LONG;
    into.writeBigUInt64BE(BigInt(frame.bodyBytes), at + 1);
    return at + LONG_HEADER_BYTES;
  }
  into[at] = frame.flags;
  into[at + 1] = frame.bodyBytes;
  return at + SHORT_HEADER_BYTES;
}

/** One frame, header and body, in a buffer of its own. For commands, tests and small replies, never for relayed messages. */
export function encodeFrame(flags: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes(body.length) + body.length);
  frame.set(body, writeHeader(frame, 0, { flags, bodyBytes: body.length }));
  return frame;
}

/** A whole message: every part but the last one carries the MORE flag. */
export function encodeMessage(parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts.map((part, at) => encodeFrame(at < parts.length - 1 ? FLAG_MORE : 0, part)));
}
