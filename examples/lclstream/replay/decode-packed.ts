// Decodes x-CBF_PACKED and x-CBF_PACKED_V2 (J. P. Abrahams' scheme) as CBFlib writes them, for signed 32-bit pixels.
// Layout: 32 bytes (element count, least, largest, reserved; 64 bits each), then a bit stream, least significant bit first, of chunks:
// 3 bits log2 of the number of pixels, 3 bits (v2: 4) width code, then that many signed differences from a prediction.
// The prediction is the rounded mean of the neighbours already decoded: left, and above-left, above, above-right; in later sections also
// the same four places one section below. Which of them count at the edges follows CBFlib exactly, oddities included. Owns no state.
import type { CbfSection } from './cbf-sections.ts';
import { NotAFrame } from './cbf-sections.ts';

const HEADER_BYTES = 32;
const WIDTHS_V1 = [0, 4, 5, 6, 7, 8, 16, 65] as const;
const WIDTHS_V2 = [0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 65] as const;
/** "As wide as it takes": 65 bits without prediction (CBFlib's reserve for a sign), the element's own 32 with it. */
const FULL_WIDTH = 65;

type BitReader = { readonly read: (bits: number) => number; readonly unreadBytes: () => number };

/** Reads up to 32 bits at a time, as an unsigned number below 2^32. */
function createBitReader(data: Uint8Array): BitReader {
  let at = HEADER_BYTES;
  let kept = 0;
  let keptBits = 0;
  const read = (bits: number): number => {
    // kept < 256 * 2^32 < 2^53, so plain numbers hold it; multiplication instead of shifts, which stop at 32 bits.
    while (keptBits < bits) {
      if (at >= data.length) throw new NotAFrame('packed data end before the last pixel');
      kept += (data[at] as number) * 2 ** keptBits;
      at += 1;
      keptBits += 8;
    }
    const size = 2 ** bits;
    const value = kept % size;
    kept = (kept - value) / size;
    keptBits -= bits;
    return value;
  };
  return { read, unreadBytes: () => data.length - at };
}

function readSigned(reader: BitReader, bits: number): number {
  if (bits === 0) return 0;
  if (bits === FULL_WIDTH) {
    const low = reader.read(32);
    reader.read(32);
    reader.read(1);
    return low | 0;
  }
  const value = reader.read(bits);
  return value >= 2 ** (bits - 1) ? value - 2 ** bits : value;
}

/** Rounded mean of 2, 4 or 8 neighbours with 32-bit wrap-around; 1 neighbour is taken as it is. */
function mean(sum: number, neighbours: number): number {
  if (neighbours === 8) return ((sum | 0) + 4) >> 3;
  if (neighbours === 4) return ((sum | 0) + 2) >> 2;
  if (neighbours === 2) return ((sum | 0) + 1) >> 1;
  return sum | 0;
}

/** What CBFlib predicts for pixel n > 0 from the pixels before it. */
function predict(pixels: Int32Array, n: number, section: CbfSection): number {
  const [fast, second] = section.dimensions;
  const plane = fast * second;
  const column = n % fast;
  const row = Math.floor(n / fast) % second;
  const isLater = n >= plane;
  const at = (index: number): number => pixels[index] as number;
  if (row === 0) return column === 0 ? at(n - plane) : at(n - 1);
  const above = n - fast;
  const uses = isLater && !section.uncorrelated;
  if (column === 0) {
    const sum = at(above + 1) + at(above);
    return uses ? mean(sum + at(above + 1 - plane) + at(above - plane), 4) : mean(sum, 2);
  }
  if (column === fast - 1) {
    const sum = at(n - 1) + at(above);
    return uses ? mean(sum + at(n - plane) + at(above - plane), 4) : mean(sum, 2);
  }
  const sum = at(n - 1) + at(above + 1) + at(above) + at(above - 1);
  if (!uses) return mean(sum, 4);
  return mean(sum + at(n - plane) + at(above + 1 - plane) + at(above - plane) + at(above - 1 - plane), 8);
}

/** Exactly `section.elements` signed 32-bit pixels; throws NotAFrame when the data end early or contradict themselves. */
export function decodePacked(section: CbfSection): Int32Array {
  const { data, elements } = section;
  if (data.length < HEADER_BYTES) throw new NotAFrame('packed data without their header');
  const stated = Number(Buffer.from(data.buffer, data.byteOffset, 8).readBigUInt64LE());
  if (stated !== elements) throw new NotAFrame(`packed data hold ${stated} elements, the section says ${elements}`);
  const isV2 = section.compression === 'packed-v2';
  const widths: readonly number[] = isV2 ? WIDTHS_V2 : WIDTHS_V1;
  const reader = createBitReader(data);
  const pixels = new Int32Array(elements);
  let n = 0;
  while (n < elements) {
    const end = Math.min(elements, n + 2 ** reader.read(3));
    const width = widths[reader.read(isV2 ? 4 : 3)] as number;
    const bits = width === FULL_WIDTH && !section.flat ? 32 : width;
    for (; n < end; n += 1) {
      const base = n === 0 ? 0 : section.flat ? (pixels[n - 1] as number) : predict(pixels, n, section);
      pixels[n] = base + readSigned(reader, bits);
    }
  }
  // The last differences end inside the last byte; anything more means that the stream was misread.
  if (reader.unreadBytes() > 0) throw new NotAFrame(`${reader.unreadBytes()} bytes left after the last pixel`);
  return pixels;
}
