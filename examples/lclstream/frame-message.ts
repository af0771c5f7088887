// The messages on the two streams: frames to the job, results back. Owns no state; README has the format.
// A frame message has two parts, a JSON header and the pixel bytes; an end message has the header only; a result message is one JSON part.
// Parsing is strict: these bytes come over a network.
import type { Position } from './detector/sample.ts';
import type { PixelType } from './frame-source.ts';
import type { Peak } from './peak-finder.ts';

export type FrameHeader = {
  readonly kind: 'frame';
  /** 0, 1, 2, ... per producer. */
  readonly sequence: number;
  readonly producer: string;
  readonly position: Position;
  /** [rows, columns]. */
  readonly shape: readonly [number, number];
  readonly dtype: PixelType;
  /** Unix time in milliseconds, with fractions. */
  readonly sentAtMs: number;
  readonly beamCentre?: { readonly x: number; readonly y: number };
  readonly saturation?: number;
};

/** Tells the one worker that takes it to finish. */
export type EndHeader = {
  readonly kind: 'end';
  readonly sequence: number;
  readonly producer: string;
  readonly sentAtMs: number;
};

export type FrameMessage =
  | { readonly kind: 'frame'; readonly header: FrameHeader; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly header: EndHeader };

export type Result = {
  readonly kind: 'result';
  readonly sequence: number;
  /** SHA-256 of the pixel bytes as the worker got them, hex. */
  readonly digest: string;
  readonly worker: string;
  readonly peaks: readonly Peak[];
  readonly hit: boolean;
  readonly position: Position;
  readonly sentAtMs: number;
  readonly receivedAtMs: number;
  readonly doneAtMs: number;
};

export type ResultMessage = Result | { readonly kind: 'hello' | 'bye'; readonly worker: string };

const BYTES_PER_PIXEL = { uint16: 2, int32: 4 } as const;
const LONGEST_HEADER_BYTES = 4096;
const LONGEST_RESULT_BYTES = 4 * 1024 * 1024;

type Fields = Record<string, unknown>;

function parseObject(bytes: Uint8Array | undefined, longest: number): Fields {
  if (!bytes || bytes.length > longest) throw new Error(`header of ${bytes?.length ?? 0} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    throw new Error('header is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('header is not an object');
  return value as Fields;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function number(fields: Fields, key: string): number {
  const value = fields[key];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Error(`${key} must be a number`);
  return value;
}

function whole(fields: Fields, key: string): number {
  const value = number(fields, key);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${key} must be a whole number of 0 or more`);
  return value;
}

function text(fields: Fields, key: string): string {
  const value = fields[key];
  if (typeof value !== 'string' || value === '' || value.length > 256) throw new Error(`${key} must be a short string`);
  return value;
}

function nested(fields: Fields, key: string): Fields {
  const value = fields[key];
  if (!isFields(value)) throw new Error(`${key} must be an object`);
  return value;
}

function position(fields: Fields): Position {
  const at = nested(fields, 'position');
  return { row: whole(at, 'row'), column: whole(at, 'column') };
}

function shape(fields: Fields): readonly [number, number] {
  const value = fields['shape'];
  if (!Array.isArray(value) || value.length !== 2) throw new Error('shape must be [rows, columns]');
  const [rows, columns] = value as readonly unknown[];
  if (!Number.isSafeInteger(rows) || !Number.isSafeInteger(columns)) throw new Error('shape must be whole numbers');
  if (Number(rows) < 1 || Number(columns) < 1) throw new Error('shape must be positive');
  return [Number(rows), Number(columns)];
}

function parseFrame(fields: Fields, bytes: Uint8Array | undefined): FrameMessage {
  const dtype = fields['dtype'];
  if (dtype !== 'uint16' && dtype !== 'int32') throw new Error('dtype must be uint16 or int32');
  const size = shape(fields);
  const expected = size[0] * size[1] * BYTES_PER_PIXEL[dtype];
  if (bytes?.length !== expected) throw new Error(`${bytes?.length ?? 0} pixel bytes, shape and dtype say ${expected}`);
  const centre = fields['beamCentre'] === undefined ? undefined : nested(fields, 'beamCentre');
  const header: FrameHeader = {
    kind: 'frame',
    sequence: whole(fields, 'sequence'),
    producer: text(fields, 'producer'),
    position: position(fields),
    shape: size,
    dtype,
    sentAtMs: number(fields, 'sentAtMs'),
    ...(centre ? { beamCentre: { x: number(centre, 'x'), y: number(centre, 'y') } } : {}),
    ...(fields['saturation'] === undefined ? {} : { saturation: number(fields, 'saturation') }),
  };
  return { kind: 'frame', header, bytes };
}

/** Reads a message of the frames stream; throws an Error that names what is wrong. */
export function parseFrameMessage(parts: readonly Uint8Array[]): FrameMessage {
  const fields = parseObject(parts[0], LONGEST_HEADER_BYTES);
  if (fields['kind'] === 'frame') return parseFrame(fields, parts[1]);
  if (fields['kind'] !== 'end') throw new Error('kind must be frame or end');
  const [sequence, producer] = [whole(fields, 'sequence'), text(fields, 'producer')];
  return { kind: 'end', header: { kind: 'end', sequence, producer, sentAtMs: number(fields, 'sentAtMs') } };
}

function parsePeaks(value: unknown): readonly Peak[] {
  if (!Array.isArray(value)) throw new Error('peaks must be a list');
  return value.map((peak: unknown): Peak => {
    if (!Array.isArray(peak) || peak.length !== 3) throw new Error('a peak must be [x, y, snr]');
    const [x, y, snr] = peak as readonly unknown[];
    if (typeof x !== 'number' || typeof y !== 'number' || typeof snr !== 'number')
      throw new Error('a peak must be numbers');
    return [x, y, snr];
  });
}

/** Reads a message of the results stream; throws an Error that names what is wrong. */
export function parseResultMessage(bytes: Uint8Array | undefined): ResultMessage {
  const fields = parseObject(bytes, LONGEST_RESULT_BYTES);
  const { kind, hit } = fields;
  const worker = text(fields, 'worker');
  if (kind === 'hello' || kind === 'bye') return { kind, worker };
  if (kind !== 'result') throw new Error('kind must be result, hello or bye');
  if (typeof hit !== 'boolean') throw new Error('hit must be true or false');
  return {
    kind,
    sequence: whole(fields, 'sequence'),
    digest: text(fields, 'digest'),
    worker,
    peaks: parsePeaks(fields['peaks']),
    hit,
    position: position(fields),
    sentAtMs: number(fields, 'sentAtMs'),
    receivedAtMs: number(fields, 'receivedAtMs'),
    doneAtMs: number(fields, 'doneAtMs'),
  };
}

/** Pixels as a typed array over the same memory; copied only when they do not lie on a pixel's boundary. */
export function viewPixels(bytes: Uint8Array, dtype: PixelType): Uint16Array | Int32Array {
  const isAligned = bytes.byteOffset % BYTES_PER_PIXEL[dtype] === 0;
  const from = isAligned ? bytes : Uint8Array.from(bytes);
  const count = from.byteLength / BYTES_PER_PIXEL[dtype];
  return dtype === 'uint16'
    ? new Uint16Array(from.buffer, from.byteOffset, count)
    : new Int32Array(from.buffer, from.byteOffset, count);
}

/** Unix time in milliseconds with fractions: finer than Date.now(), comparable between the programs of one machine. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
