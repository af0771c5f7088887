// Writes an 8-bit palette PNG: signature, IHDR, PLTE, IDAT, IEND (W3C PNG, third edition). Owns no state.
import { crc32, deflateSync } from 'node:zlib';

export type Colour = readonly [number, number, number];

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const PALETTE_COLOUR = 3;

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

/** `indices` holds width * height palette numbers, row by row; the palette has 1 to 256 colours. */
export function encodePng(indices: Uint8Array, width: number, palette: readonly Colour[]): Buffer {
  const height = indices.length / width;
  if (!Number.isInteger(height) || height < 1) throw new Error(`${indices.length} pixels do not make rows of ${width}`);
  if (palette.length < 1 || palette.length > 256) throw new Error(`a palette of ${palette.length} colours`);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, PALETTE_COLOUR, 0, 0, 0], 8);
  // Filter 0 (none): palette numbers have no gradient that the other filters could use.
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y += 1) rows.set(indices.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', Uint8Array.from(palette.flat())),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', new Uint8Array()),
  ]);
}

export function pngDataUri(png: Buffer): string {
  return `data:image/png;base64,${png.toString('base64')}`;
}
