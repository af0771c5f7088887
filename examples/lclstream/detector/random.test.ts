import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRandom, drawPoisson } from './random.ts';

function moments(values: readonly number[]): { readonly mean: number; readonly variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1) };
}

test('equal names give equal streams, others do not', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), (name) => {
      const take = (...parts: readonly number[]): readonly number[] => {
        const random = createRandom(...parts);
        return Array.from({ length: 8 }, random);
      };
      assert.deepEqual(take(...name), take(...name));
      assert.notDeepEqual(take(...name), take(...name.slice(0, -1), (name.at(-1) ?? 0) + 1));
    }),
    { numRuns: 200 },
  );
});

test('uniform draws fill [0, 1) evenly', () => {
  const random = createRandom(5);
  const bins = new Array<number>(20).fill(0);
  const draws = 100_000;
  for (let n = 0; n < draws; n += 1) {
    const bin = Math.floor(random() * 20);
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  const chi2 = bins.reduce((sum, count) => sum + (count - draws / 20) ** 2 / (draws / 20), 0);
  // 19 degrees of freedom: 43.8 is exceeded once in a thousand.
  assert.ok(chi2 < 43.8, `chi2 ${chi2}`);
});

test('Poisson draws have the right mean and variance on both sides of the change of method', () => {
  for (const mean of [0.05, 0.7, 3, 9.9, 10, 10.1, 33, 240]) {
    const random = createRandom(11, Math.round(mean * 100));
    const draws = 60_000;
    const found = moments(Array.from({ length: draws }, () => drawPoisson(random, mean)));
    const meanError = Math.sqrt(mean / draws);
    const varianceError = Math.sqrt((mean + 2 * mean * mean) / draws);
    assert.ok(Math.abs(found.mean - mean) < 4 * meanError, `mean ${mean}: ${found.mean}`);
    assert.ok(Math.abs(found.variance - mean) < 4 * varianceError, `variance at ${mean}: ${found.variance}`);
  }
});

test('a mean of nothing gives nothing', () => {
  assert.equal(drawPoisson(createRandom(1), 0), 0);
  assert.equal(drawPoisson(createRandom(1), -3), 0);
});
