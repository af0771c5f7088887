import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viewPixels } from '../frame-message.ts';
import type { DetectorFrame } from '../frame-source.ts';
import { expectedBackground, GEOMETRY, MASKED, radiusPx } from './geometry.ts';
import { APERTURE_SHARE, createDetectorModel } from './model.ts';
import { type Position, SAMPLE_COLUMNS, SAMPLE_ROWS } from './sample.ts';

const model = createDetectorModel(7);

function positionBy(rank: (left: number, right: number) => number): Position {
  const positions = Array.from({ length: SAMPLE_ROWS * SAMPLE_COLUMNS }, (_, index) => ({
    row: Math.floor(index / SAMPLE_COLUMNS),
    column: index % SAMPLE_COLUMNS,
  }));
  const sorted = positions.sort((left, right) =>
    rank(model.sample.hitProbability(left), model.sample.hitProbability(right)),
  );
  return sorted[0] ?? { row: 0, column: 0 };
}

const RICH = positionBy((left, right) => right - left);
const POOR = positionBy((left, right) => left - right);

function framesAt(position: Position, count: number): readonly DetectorFrame[] {
  return Array.from({ length: count }, (_, sequence) => model.frame(sequence, position));
}

test('a frame is 1024 x 1024 uint16, 2 MiB', () => {
  const frame = model.frame(0, POOR);
  assert.deepEqual(frame.shape, [1024, 1024]);
  assert.equal(frame.dtype, 'uint16');
  assert.equal(frame.bytes.byteLength, 2 * 1024 * 1024);
});

test('the same seed, sequence and position give the same bytes, whatever was drawn before', () => {
  const again = createDetectorModel(7);
  again.frame(99, RICH);
  const [first, second] = [model.frame(3, RICH), again.frame(3, RICH)];
  assert.ok(Buffer.from(first.bytes).equals(second.bytes));
  assert.deepEqual(first.truth, second.truth);
});

test('another seed, sequence or position gives another frame', () => {
  const bytes = Buffer.from(model.frame(3, RICH).bytes);
  assert.ok(!bytes.equals(model.frame(4, RICH).bytes));
  assert.ok(!bytes.equals(model.frame(3, POOR).bytes));
  assert.ok(!bytes.equals(createDetectorModel(8).frame(3, RICH).bytes));
});

test('the crystal-rich position gives many hits, the poorest few', () => {
  const hits = (position: Position): number => framesAt(position, 60).filter((frame) => frame.truth?.length).length;
  assert.ok(hits(RICH) > 40, `rich ${hits(RICH)}`);
  assert.ok(hits(POOR) < 15, `poor ${hits(POOR)}`);
});

test('the background of blanks is Poisson with the expected mean at each radius', () => {
  const blanks = framesAt(POOR, 12).filter((frame) => frame.truth?.length === 0);
  assert.ok(blanks.length >= 4);
  for (const [from, to] of [
    [40, 60],
    [200, 230],
    [430, 460],
    [600, 640],
  ] as const) {
    let [count, deviation, squares] = [0, 0, 0];
    for (const frame of blanks.slice(0, 4)) {
      viewPixels(frame.bytes, frame.dtype).forEach((value, at) => {
        const radius = radiusPx(GEOMETRY, at % 1024, Math.floor(at / 1024));
        if (value === MASKED || radius < from || radius >= to) return;
        const expected = expectedBackground(radius);
        count += 1;
        deviation += (value - expected) / Math.sqrt(expected);
        squares += (value - expected) ** 2 / expected;
      });
    }
    // Standardized deviations: mean 0, mean square 1; rows come from a bank of 8, so the error is wider than 1/sqrt(count).
    assert.ok(Math.abs(deviation / count) < 0.05, `ring ${from}: mean ${deviation / count}`);
    assert.ok(Math.abs(squares / count - 1) < 0.05, `ring ${from}: variance ${squares / count}`);
  }
});

test('the beam stop and some single pixels are masked, little else', () => {
  const frame = model.frame(0, POOR);
  const pixels = viewPixels(frame.bytes, frame.dtype);
  assert.equal(pixels[508 * 1024 + 515], MASKED);
  const masked = Array.from(pixels).filter((value) => value === MASKED).length;
  assert.ok(masked > 2000 && masked < 20_000, `${masked} masked`);
});

test('true spots are strong as stated: measured signal over the root of the background is their snr on average', () => {
  let [measured, stated, spots] = [0, 0, 0];
  for (const frame of framesAt(RICH, 40)) {
    const pixels = viewPixels(frame.bytes, frame.dtype);
    for (const spot of frame.truth ?? []) {
      const [x, y] = [Math.round(spot.x), Math.round(spot.y)];
      let sum = 0;
      for (let n = 0; n < 25; n += 1) sum += pixels[(y - 2 + Math.floor(n / 5)) * 1024 + x - 2 + (n % 5)] ?? 0;
      const background = 25 * expectedBackground(radiusPx(GEOMETRY, spot.x, spot.y));
      measured += (sum - background) / Math.sqrt(background);
      stated += spot.snr;
      spots += 1;
    }
  }
  assert.ok(spots > 1000, `${spots} spots`);
  assert.ok(Math.abs(measured / stated - 1) < 0.03, `measured/stated ${measured / stated}`);
  assert.ok(APERTURE_SHARE < 1);
});

test('spot strengths run from about 3 to about 60, and each spot has a place of its own', () => {
  const hits = framesAt(RICH, 40).filter((frame) => frame.truth?.length);
  const all = hits.flatMap((frame) => frame.truth ?? []);
  const strengths = all.map((spot) => spot.snr);
  assert.ok(Math.min(...strengths) >= 3 && Math.min(...strengths) < 4);
  assert.ok(Math.max(...strengths) <= 60 && Math.max(...strengths) > 50);
  for (const frame of hits) {
    assert.ok((frame.truth?.length ?? 0) > 20, `a hit with ${frame.truth?.length} spots`);
    for (const spot of frame.truth ?? []) {
      const near = frame.truth?.filter((other) => Math.hypot(other.x - spot.x, other.y - spot.y) < 9);
      assert.equal(near?.length, 1);
    }
  }
});
