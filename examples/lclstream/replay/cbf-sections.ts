// Splits a CBF or imgCIF file into its binary sections and checks each section's Content-MD5.
// Owns no state. Format: IUCr "CBF/imgCIF", binary sections as MIME parts; after the header the bytes 0C 1A 04 D5 and X-Binary-Size bytes.
import { createHash } from 'node:crypto';

export type CbfSection = {
  readonly compression: 'byte-offset' | 'packed' | 'packed-v2';
  /** Each section packed on its own: predictions do not look at the section before. */
  readonly uncorrelated: boolean;
  /** Packed without prediction from the row above. */
  readonly flat: boolean;
  readonly elements: number;
  /** Fastest dimension first; a missing second or third dimension is 1. */
  readonly dimensions: readonly [number, number, number];
  readonly data: Uint8Array;
};

/** The file is no frame we can read; the message says why, for people. */
export class NotAFrame extends Error {
  override readonly name = 'NotAFrame';
}

const BOUNDARY = Buffer.from('--CIF-BINARY-FORMAT-SECTION--');
const START = Buffer.from([0x0c, 0x1a, 0x04, 0xd5]);
const LONGEST_HEADER_BYTES = 4096;
/** 64 Mpixel: above any detector of today, below what would exhaust memory. */
const MOST_ELEMENTS = 64 * 1024 * 1024;
const MOST_SECTIONS = 256;

function field(header: string, name: string): string | undefined {
  const match = new RegExp(`^${name}:[ \\t]*(.*)$`, 'im').exec(header);
  return match?.[1]?.trim();
}

function wholeNumber(header: string, name: string, fallback?: number): number {
  const text = field(header, name);
  if (text === undefined && fallback !== undefined) return fallback;
  if (text === undefined || !/^\d{1,10}$/.test(text)) throw new NotAFrame(`binary section without a usable ${name}`);
  return Number(text);
}

function compressionOf(header: string): CbfSection['compression'] {
  const name = /conversions="?([\w-]+)"?/i.exec(header)?.[1]?.toLowerCase();
  if (name === 'x-cbf_byte_offset') return 'byte-offset';
  if (name === 'x-cbf_packed') return 'packed';
  if (name === 'x-cbf_packed_v2') return 'packed-v2';
  throw new NotAFrame(`unsupported compression ${name ?? 'none'}`);
}

function checkElementType(header: string): void {
  const type = field(header, 'X-Binary-Element-Type')?.replaceAll('"', '').toLowerCase();
  if (type !== undefined && type !== 'signed 32-bit integer') throw new NotAFrame(`unsupported element type ${type}`);
  const order = field(header, 'X-Binary-Element-Byte-Order')?.toUpperCase();
  if (order !== undefined && order !== 'LITTLE_ENDIAN') throw new NotAFrame(`unsupported byte order ${order}`);
}

function checkDigest(header: string, data: Uint8Array): void {
  const stated = field(header, 'Content-MD5');
  if (stated === undefined) return;
  const found = createHash('md5').update(data).digest('base64');
  if (found !== stated) throw new NotAFrame(`Content-MD5 mismatch: stated ${stated}, found ${found}`);
}

function readSection(header: string, data: Uint8Array): CbfSection {
  checkElementType(header);
  checkDigest(header, data);
  const elements = wholeNumber(header, 'X-Binary-Number-of-Elements');
  const fast = wholeNumber(header, 'X-Binary-Size-Fastest-Dimension');
  const second = wholeNumber(header, 'X-Binary-Size-Second-Dimension', 1);
  const third = wholeNumber(header, 'X-Binary-Size-Third-Dimension', 1);
  if (elements === 0 || elements > MOST_ELEMENTS) throw new NotAFrame(`${elements} elements in a section`);
  if (fast < 2 || fast * second * third !== elements) {
    throw new NotAFrame(`dimensions ${fast} x ${second} x ${third} do not make ${elements} elements`);
  }
  return {
    compression: compressionOf(header),
    uncorrelated: /uncorrelated_sections/i.test(header),
    flat: /"flat"/i.test(header),
    elements,
    dimensions: [fast, second, third],
    data,
  };
}

/** The binary sections in file order, digests checked where stated; throws NotAFrame. */
export function splitCbf(file: Buffer): readonly CbfSection[] {
  const sections: CbfSection[] = [];
  let from = 0;
  for (;;) {
    const boundary = file.indexOf(BOUNDARY, from);
    if (boundary < 0) break;
    const start = file.indexOf(START, boundary);
    if (start < 0 || start - boundary > LONGEST_HEADER_BYTES) throw new NotAFrame('binary section without a start');
    const header = file.toString('latin1', boundary + BOUNDARY.length, start).replaceAll('\r\n', '\n');
    const begin = start + START.length;
    const end = begin + wholeNumber(header, 'X-Binary-Size');
    if (end > file.length)
      throw new NotAFrame(`binary section of ${end - begin} bytes is cut at ${file.length - begin}`);
    sections.push(readSection(header, file.subarray(begin, end)));
    if (sections.length > MOST_SECTIONS) throw new NotAFrame(`more than ${MOST_SECTIONS} binary sections`);
    const closing = file.indexOf(BOUNDARY, end);
    from = closing < 0 ? file.length : closing + BOUNDARY.length;
  }
  if (sections.length === 0) throw new NotAFrame('no binary section');
  return sections;
}
