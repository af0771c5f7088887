import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { viewPixels } from '../frame-message.ts';
import { createPeakFinder } from '../peak-finder.ts';
import { type CbfSection, NotAFrame, splitCbf } from './cbf-sections.ts';
import { decodeByteOffset } from './decode-byte-offset.ts';
import { decodePacked } from './decode-packed.ts';
import { loadReplay } from './load-frames.ts';
import { readFrameFile } from './read-frame-file.ts';

const REAL = fileURLToPath(new URL('../../../../shared/frames/', import.meta.url));
const realFrames = existsSync(REAL) ? {} : { skip: 'no ../shared/frames beside the checkout' };

function encodeByteOffset(pixels: readonly number[]): Buffer {
  let previous = 0;
  return Buffer.concat(
    pixels.map((pixel) => {
      const difference = pixel - previous;
      previous = pixel;
      const out = Buffer.alloc(15);
      out.writeInt8(-0x80, 0);
      out.writeInt16LE(-0x8000, 1);
      out.writeInt32LE(-0x80000000, 3);
      if (Math.abs(difference) < 0x80) return Buffer.from(Int8Array.of(difference).buffer);
      if (Math.abs(difference) < 0x8000) return out.subarray(0, out.writeInt16LE(difference, 1));
      if (Math.abs(difference) < 0x80000000) return out.subarray(0, out.writeInt32LE(difference, 3));
      return out.subarray(0, out.writeBigInt64LE(BigInt(difference), 7));
    }),
  );
}

/** Bits of several widths, least significant first. */
function packBits(fields: readonly (readonly [value: number, bits: number])[]): Buffer {
  const bits = fields.flatMap(([value, width]) =>
    Array.from({ length: width }, (_, n) => Math.floor(value / 2 ** n) & 1),
  );
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8));
  bits.forEach((bit, at) => {
    bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (bit << (at & 7));
  });
  return bytes;
}

function packedSection(fields: readonly (readonly [number, number])[], more: Partial<CbfSection>): CbfSection {
  const header = Buffer.alloc(32);
  header.writeBigUInt64LE(BigInt(more.elements ?? 0));
  return {
    compression: 'packed',
    uncorrelated: false,
    flat: false,
    elements: 0,
    dimensions: [3, 2, 1],
    data: Buffer.concat([header, packBits(fields)]),
    ...more,
  };
}

function miniCbf(pixels: readonly number[], columns: number, change?: (data: Buffer) => void): Buffer {
  const data = encodeByteOffset(pixels);
  const digest = createHash('md5').update(data).digest('base64');
  change?.(data);
  const header = [
    '###CBF: VERSION 1.5',
    'data_test',
    '# Count_cutoff 5000 counts',
    '# Beam_xy (1.50, 2.25) pixels',
    '_array_data.data',
    ';',
    '--CIF-BINARY-FORMAT-SECTION--',
    'Content-Type: application/octet-stream;',
    '     conversions="x-CBF_BYTE_OFFSET"',
    `X-Binary-Size: ${data.length}`,
    'X-Binary-Element-Type: "signed 32-bit integer"',
    `Content-MD5: ${digest}`,
    `X-Binary-Number-of-Elements: ${pixels.length}`,
    `X-Binary-Size-Fastest-Dimension: ${columns}`,
    `X-Binary-Size-Second-Dimension: ${pixels.length / columns}`,
    '',
    '',
  ].join('\r\n');
  const end = Buffer.from('\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n');
  return Buffer.concat([Buffer.from(header), Buffer.from([0x0c, 0x1a, 0x04, 0xd5]), data, end]);
}

test('byte-offset data come back as they went in, over the whole range of int32', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer(), fc.integer({ min: -200, max: 40_000 })), { minLength: 1 }),
      (pixels) => {
        assert.deepEqual([...decodeByteOffset(encodeByteOffset(pixels), pixels.length)], pixels);
      },
    ),
  );
});

test('byte-offset data that end early or go on are no frame', () => {
  const data = encodeByteOffset([1, 2, 300, 4]);
  assert.throws(() => decodeByteOffset(data, 5), NotAFrame);
  assert.throws(() => decodeByteOffset(data, 3), NotAFrame);
});

test('packed data follow CBFlib: predictions from the left and the row above, worked out by hand', () => {
  // Rows 10 12 11 / 9 10 13. Predictions 0, 10, 12 / (12+10+1)>>1 = 11, (9+11+12+10+2)>>2 = 11, (10+11+1)>>1 = 11.
  const differences = [10, 2, -1, -2, -1, 2];
  const wrapped = differences.map((each) => (each + 32) % 32);
  const v1 = packedSection(
    [
      [2, 3],
      [2, 3],
      ...wrapped.slice(0, 4).map((each) => [each, 5] as const),
      [1, 3],
      [2, 3],
      ...wrapped.slice(4).map((each) => [each, 5] as const),
    ],
    { elements: 6 },
  );
  assert.deepEqual([...decodePacked(v1)], [10, 12, 11, 9, 10, 13]);
  const v2 = packedSection([[3, 3], [3, 4], ...wrapped.map((each) => [each, 5] as const)], {
    elements: 6,
    compression: 'packed-v2',
  });
  assert.deepEqual([...decodePacked(v2)], [10, 12, 11, 9, 10, 13]);
});

test('packed data without prediction count from the pixel before, full-width differences included', () => {
  const section = packedSection(
    [
      [1, 3],
      [7, 3],
      [100_000, 32],
      [0, 33],
      [4_294_867_301, 32],
      [1, 32],
      [1, 1],
    ],
    { elements: 2, dimensions: [2, 1, 1], flat: true },
  );
  assert.deepEqual([...decodePacked(section)], [100_000, 5]);
});

test('packed data that end early, go on, or name another size are no frame', () => {
  const fields = [
    [1, 3],
    [1, 3],
    [1, 4],
    [2, 4],
  ] as const;
  const good = packedSection(fields, { elements: 2, dimensions: [2, 1, 1] });
  assert.deepEqual([...decodePacked(good)], [1, 3]);
  assert.throws(() => decodePacked({ ...good, elements: 4, dimensions: [2, 2, 1] }), NotAFrame);
  assert.throws(() => decodePacked({ ...good, data: good.data.subarray(0, 33) }), NotAFrame);
  assert.throws(() => decodePacked({ ...good, data: Buffer.concat([good.data, Buffer.alloc(3)]) }), NotAFrame);
});

test('a miniCBF file gives shape, pixels, beam centre and count limit', () => {
  const pixels = [5, -1, 300, 70_000, 0, 2];
  const frame = readFrameFile(miniCbf(pixels, 3), 'a.cbf');
  assert.deepEqual(frame.shape, [2, 3]);
  assert.deepEqual([...viewPixels(frame.bytes, 'int32')], pixels);
  assert.deepEqual(frame.beamCentre, { x: 1.5, y: 2.25 });
  assert.equal(frame.saturation, 5000);
});

test('a changed byte is found by the digest, a cut file by its length', () => {
  const spoil = (data: Buffer): void => {
    data[1] = (data[1] ?? 0) ^ 1;
  };
  assert.throws(() => readFrameFile(miniCbf([1, 2, 3, 4], 2, spoil), 'a.cbf'), /Content-MD5 mismatch/);
  assert.throws(() => readFrameFile(miniCbf([1, 2, 3, 4], 2).subarray(0, -50), 'a.cbf'), NotAFrame);
});

test('no bytes whatever do more than be refused as no frame', () => {
  const whole = miniCbf([1, 2, 3, 400, 5, 6], 3);
  const parts = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 })).map(([at, value]) => {
      const copy = Buffer.from(whole);
      copy[at] = value;
      return copy;
    }),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.concat([Buffer.from('BZh9'), bytes])),
  );
  fc.assert(
    fc.property(parts, (bytes) => {
      try {
        readFrameFile(bytes, 'fuzz');
      } catch (error) {
        assert.ok(error instanceof NotAFrame, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

test('files that are no frames are skipped and named, the others looped', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'beamway-replay-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, '1.cbf'), miniCbf([1, 2, 3, 4], 2));
  await writeFile(join(folder, '2.cbf'), miniCbf([9, 8, 7, 6, 5, 4], 3));
  await writeFile(
    join(folder, 'bad.cbf'),
    miniCbf([1, 2, 3, 4], 2, (data) => data.fill(0x33)),
  );
  await writeFile(join(folder, 'notes.txt'), 'no frame at all');
  const replay = await loadReplay(folder);
  assert.deepEqual(
    replay.skipped.map((each) => each.file),
    ['bad.cbf', 'notes.txt'],
  );
  assert.match(replay.skipped[0]?.reason ?? '', /Content-MD5 mismatch/);
  const files = [0, 1, 2, 3].map((sequence) => replay.frame(sequence, { row: 0, column: 0 }).file);
  assert.deepEqual(files, ['1.cbf', '2.cbf', '1.cbf', '2.cbf']);
  assert.equal(replay.frame(0, { row: 0, column: 0 }).truth, undefined);
});

test('a folder without a frame is an error that says why', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'beamway-replay-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'notes.txt'), 'no frame at all');
  await assert.rejects(loadReplay(folder), /notes\.txt: no binary section/);
});

test('real Pilatus frames (.bz2, byte-offset): digests hold, and lattices show', realFrames, async (t) => {
  const find = createPeakFinder();
  for (const n of [1, 2, 3]) {
    const name = `pilatus-thaumatin-grid-000${n}.cbf.bz2`;
    const { shape, dtype, bytes, beamCentre, saturation } = readFrameFile(await readFile(join(REAL, name)), name);
    assert.deepEqual(shape, [2527, 2463]);
    const peaks = find({ pixels: viewPixels(bytes, dtype), shape, beamCentre, saturation });
    t.diagnostic(`${name}: ${peaks.length} peaks`);
    assert.ok(peaks.length > 10);
  }
});

test(
  'real CSPAD frames (imgCIF, packed, four sections): digests hold, data are used up, values fit 14 bits',
  realFrames,
  async (t) => {
    const find = createPeakFinder();
    for (const shot of ['401', '601', '701']) {
      const name = `lcls-cspad-thermolysin-20130301060858${shot}.cbf`;
      const file = await readFile(join(REAL, name));
      assert.equal(splitCbf(file).length, 4);
      const { shape, dtype, bytes } = readFrameFile(file, name);
      assert.deepEqual(shape, [4 * 8 * 185, 388]);
      const pixels = viewPixels(bytes, dtype);
      let most = 0;
      for (const value of pixels) most = Math.max(most, value);
      assert.equal(most, 2 ** 14 - 1);
      const peaks = find({ pixels, shape });
      t.diagnostic(`${name}: ${peaks.length} peaks`);
      assert.ok(peaks.length > 10);
    }
  },
);

test('a real frame with one byte changed is refused', realFrames, async () => {
  const name = 'lcls-cspad-thermolysin-20130301060858401.cbf';
  const file = await readFile(join(REAL, name));
  file[file.length - 200_000] = (file[file.length - 200_000] ?? 0) ^ 0x10;
  assert.throws(() => readFrameFile(file, name), /Content-MD5 mismatch/);
});
