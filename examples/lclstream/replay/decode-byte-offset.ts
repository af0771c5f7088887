// Decodes x-CBF_BYTE_OFFSET: each pixel is the one before plus a difference of 1, 2, 4 or 8 bytes, little-endian;
// the most negative value of a width says that the next wider one follows. Owns no state.
import { NotAFrame } from './cbf-sections.ts';

/** Exactly `elements` signed 32-bit pixels; throws NotAFrame when the data end early or go on. */
export function decodeByteOffset(data: Uint8Array, elements: number): Int32Array {
  const pixels = new Int32Array(elements);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let at = 0;
  let value = 0;
  try {
    for (let n = 0; n < elements; n += 1) {
      let difference = view.getInt8(at);
      at += 1;
      if (difference === -0x80) {
        difference = view.getInt16(at, true);
        at += 2;
        if (difference === -0x8000) {
          difference = view.getInt32(at, true);
          at += 4;
          if (difference === -0x80000000) {
            difference = Number(BigInt.asIntN(32, view.getBigInt64(at, true)));
            at += 8;
          }
        }
      }
      value = (value + difference) | 0;
      pixels[n] = value;
    }
  } catch (error) {
    if (error instanceof RangeError) throw new NotAFrame('byte-offset data end before the last pixel');
    throw error;
  }
  if (at !== data.byteLength) throw new NotAFrame(`${data.byteLength - at} bytes left after the last pixel`);
  return pixels;
}
