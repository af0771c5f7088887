import assert from 'node:assert/strict';
import test from 'node:test';
import type { BenchContext } from './figure.ts';
import { isResolved, median, medianInterval, ratios, runPaired, runRounds } from './paired-rounds.ts';

const context = (min: number, max: number): BenchContext => ({
  rounds: { min, max },
  log: () => undefined,
  track: (child) => child,
  defer: () => undefined,
});

test('the median of an even number is between the middle two', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([3, 1, 2]), 2);
});

test('the interval is the one of the binomial tables', () => {
  const values = (n: number) => Array.from({ length: n }, (_, at) => at + 1);
  assert.deepEqual(medianInterval(values(5)), [1, 5]);
  assert.deepEqual(medianInterval(values(6)), [1, 6]);
  assert.deepEqual(medianInterval(values(9)), [2, 8]);
  assert.deepEqual(medianInterval(values(20)), [6, 15]);
  assert.deepEqual(medianInterval(values(25)), [8, 18]);
});

test('a ratio is resolved when its interval is narrow, and never with fewer than six rounds', () => {
  assert.equal(isResolved([1, 1, 1, 1, 1]), false);
  assert.equal(isResolved([0.97, 1, 1, 1.01, 1.02, 1.04]), true);
  assert.equal(isResolved([0.9, 1, 1, 1.01, 1.02, 1.04]), false);
});

test('rounds measure every path once, in changing order, until enough or the most', async () => {
  const order: string[] = [];
  const measure = async (path: string): Promise<number> => order.push(path);
  const { rounds } = await runPaired(context(2, 4), {
    paths: ['a', 'b', 'c'],
    measure,
    enough: () => false,
    describe: String,
  });
  assert.equal(rounds.length, 4);
  assert.deepEqual(order.slice(0, 6), ['a', 'b', 'c', 'a', 'c', 'b']);
  const few = await runPaired(context(2, 4), { paths: ['a'], measure, enough: () => true, describe: String });
  assert.equal(few.rounds.length, 2);
});

test('ratios pair the values of one round only', async () => {
  const samples = { a: 6, b: 3, c: 1 };
  const rounds = await runRounds<'a' | 'b' | 'c', number>(context(1, 1), {
    next: (soFar) => [['a', 'b'] as const, ['a', 'c'] as const][soFar.length],
    measure: async (path) => samples[path],
    describe: String,
  });
  assert.deepEqual(ratios(rounds, { of: 'a', to: 'b', value: (sample) => sample }), [2]);
});
