/**
 * A bench's message: who sent it, its number, when it was due, and a digest of the rest. Bodies come from a few prepared ones, so that the sender digests each of them once; the
 * receiver digests every message it gets.
 */
import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

export const HEADER_BYTES = 48;
const DIGEST_BYTES = 16;
const DIGEST_AT = 28;
const SUM_AT = 44;
const MAGIC = 0x42574231;
const BODIES = 8;

export interface Stamp {
  readonly producer: number;
  readonly sequence: number;
  /** In the sender's performance.now(). */
  readonly dueMs: number;
}

export type Read =
  | { readonly kind: 'whole'; readonly stamp: Stamp }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'foreign' };

const digestOf = (body: Uint8Array): Buffer => hash('sha256', body, 'buffer').subarray(0, DIGEST_BYTES);

/** `size`: octets of each message, at least HEADER_BYTES. `run`: told apart from messages of earlier benches. */
export function messageWriter(run: number, size: number): (stamp: Stamp) => Buffer {
  const bodies = Array.from({ length: BODIES }, () => {
    const octets = randomBytes(size - HEADER_BYTES);
    return { octets, digest: digestOf(octets) };
  });
  return ({ producer, sequence, dueMs }) => {
    const { octets, digest } = bodies[sequence % BODIES] as (typeof bodies)[number];
    const message = Buffer.allocUnsafe(size);
    message.writeUInt32BE(MAGIC, 0);
    message.writeUInt32BE(run, 4);
    message.writeUInt32BE(producer, 8);
    message.writeDoubleBE(sequence, 12);
    message.writeDoubleBE(dueMs, 20);
    digest.copy(message, DIGEST_AT);
    message.writeUInt32BE(crc32(message.subarray(0, SUM_AT)), SUM_AT);
    octets.copy(message, HEADER_BYTES);
    return message;
  };
}

/** `foreign`: no message of this run; its sender is somebody else. */
export function readMessage(run: number, message: Buffer): Read {
  if (message.length < HEADER_BYTES || message.readUInt32BE(0) !== MAGIC || message.readUInt32BE(4) !== run)
    return { kind: 'foreign' };
  const sound =
    message.readUInt32BE(SUM_AT) === crc32(message.subarray(0, SUM_AT)) &&
    digestOf(message.subarray(HEADER_BYTES)).equals(message.subarray(DIGEST_AT, SUM_AT));
  if (!sound) return { kind: 'damaged' };
  return {
    kind: 'whole',
    stamp: {
      producer: message.readUInt32BE(8),
      sequence: message.readDoubleBE(12),
      dueMs: message.readDoubleBE(20),
    },
  };
}
