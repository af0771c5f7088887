import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDetectorModel } from './detector/model.ts';
import { createRandom, drawPoisson } from './detector/random.ts';
import { viewPixels } from './frame-message.ts';
import { createPeakFinder } from './peak-finder.ts';
import { addScore, NO_SCORE, precisionOf, recallOf } from './score.ts';

/** A flat Poisson background with Gaussian spots of 1.2 px and so many counts. */
function flatFrame(
  size: number,
  spots: readonly { readonly x: number; readonly y: number; readonly counts: number }[],
) {
  const random = createRandom(3, size);
  const pixels = new Int32Array(size * size);
  for (let at = 0; at < pixels.length; at += 1) {
    const [x, y] = [at % size, Math.floor(at / size)];
    const signal = spots.reduce((sum, spot) => {
      const squared = (spot.x - x) ** 2 + (spot.y - y) ** 2;
      return sum + (spot.counts / (2 * Math.PI * 1.44)) * Math.exp(-squared / 2.88);
    }, 0);
    pixels[at] = drawPoisson(random, 20 + signal);
  }
  return pixels;
}

test('on 60 frames of the model, recall and precision for spots of 6 sigma and more are at least 0.95', (t) => {
  const model = createDetectorModel(21);
  const find = createPeakFinder();
  let score = NO_SCORE;
  for (let sequence = 0; sequence < 60; sequence += 1) {
    // Every second frame at the richest place, the others all over the sample, so that blanks count too.
    const rich = { row: 0, column: 0, probability: 0 };
    for (let index = 0; index < 192; index += 1) {
      const [row, column] = [Math.floor(index / 16), index % 16];
      const probability = model.sample.hitProbability({ row, column });
      if (probability > rich.probability) Object.assign(rich, { row, column, probability });
    }
    const anywhere = { row: sequence % 12, column: (5 * sequence) % 16 };
    const frame = model.frame(sequence, sequence % 2 === 0 ? { row: rich.row, column: rich.column } : anywhere);
    const { shape, beamCentre } = frame;
    score = addScore(
      score,
      frame.truth ?? [],
      find({ pixels: viewPixels(frame.bytes, frame.dtype), shape, beamCentre }),
    );
  }
  const [recall, precision] = [recallOf(score) ?? 0, precisionOf(score) ?? 0];
  t.diagnostic(
    `recall ${recall.toFixed(4)} of ${score.strongSpots}, precision ${precision.toFixed(4)} of ${score.peaks}`,
  );
  assert.ok(score.strongSpots > 800);
  assert.ok(recall >= 0.95, `recall ${recall}`);
  assert.ok(precision >= 0.95, `precision ${precision}`);
});

test('a peak lies within half a pixel of its spot, and its snr is the aperture snr', () => {
  const pixels = flatFrame(200, [{ x: 80.3, y: 120.7, counts: 900 }]);
  const peaks = createPeakFinder()({ pixels, shape: [200, 200] });
  const [x, y, snr] = peaks[0] ?? [0, 0, 0];
  assert.ok(Math.hypot(x - 80.3, y - 120.7) < 0.5, `${x}, ${y}`);
  const expected = (900 * 0.9269) / Math.sqrt(25 * 20);
  assert.ok(Math.abs(snr / expected - 1) < 0.15, `${snr} for ${expected}`);
});

test('uint16 and int32 pixels of the same counts give the same peaks', () => {
  const pixels = flatFrame(160, [{ x: 50, y: 60, counts: 700 }]);
  const find = createPeakFinder();
  assert.deepEqual(find({ pixels: Uint16Array.from(pixels), shape: [160, 160] }), find({ pixels, shape: [160, 160] }));
});

test('negative and saturated pixels and lone bright pixels are no peaks', () => {
  const pixels = flatFrame(160, []);
  for (let n = 0; n < 30; n += 1) {
    pixels[(10 + n) * 160 + 40] = -1;
    pixels[(10 + n) * 160 + 80] = 5000;
  }
  // A column of saturated pixels, and single cosmics.
  for (const at of [100 * 160 + 30, 120 * 160 + 90, 60 * 160 + 120]) pixels[at] = 4000;
  assert.deepEqual(createPeakFinder()({ pixels, shape: [160, 160], saturation: 5000 }), []);
});

test('a frame of any shape is taken: too small, empty, constant', () => {
  const find = createPeakFinder();
  assert.deepEqual(find({ pixels: new Uint16Array(1), shape: [1, 1] }), []);
  assert.deepEqual(find({ pixels: new Uint16Array(12), shape: [3, 4] }), []);
  assert.deepEqual(find({ pixels: new Int32Array(70 * 90), shape: [70, 90] }), []);
  assert.deepEqual(
    find({ pixels: new Int32Array(70 * 90).fill(-2), shape: [70, 90], beamCentre: { x: 10, y: 500 } }),
    [],
  );
  assert.deepEqual(find({ pixels: new Uint16Array(70 * 90).fill(65535), shape: [70, 90] }), []);
});

test('a higher threshold finds a part of what a lower one finds', () => {
  const spots = Array.from({ length: 30 }, (_, n) => ({
    x: 15 + 20 * (n % 6),
    y: 15 + 20 * Math.floor(n / 6),
    counts: 80 + 25 * n,
  }));
  const pixels = flatFrame(140, spots);
  const count = (threshold: number): number => createPeakFinder(threshold)({ pixels, shape: [140, 140] }).length;
  assert.ok(count(5) > count(12));
  assert.ok(count(12) > count(40));
});
