import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../detector/random.ts';
import { createSample, SAMPLE_COLUMNS, SAMPLE_ROWS } from '../detector/sample.ts';
import { createLedger } from './ledger.ts';
import { createSteering, rasterPath, type SteeringDecision } from './steering.ts';
import { summarize } from './summary.ts';

/** Runs steering on a sample, answers coming `delay` frames late. */
function run(seed: number, frames: number, delay: number) {
  const sample = createSample(seed);
  const random = createRandom(seed, 9);
  const steering = createSteering({ rows: SAMPLE_ROWS, columns: SAMPLE_COLUMNS, frames, steered: true });
  const decisions: SteeringDecision[] = [];
  const shots: {
    readonly sequence: number;
    readonly hit: boolean;
    readonly position: { row: number; column: number };
  }[] = [];
  for (let sequence = 0; sequence < frames; sequence += 1) {
    const late = shots[sequence - delay];
    if (late) steering.learn(late.position, late.hit);
    const { position, decision } = steering.next(sequence);
    if (decision) decisions.push(decision);
    shots.push({ sequence, position, hit: random() < sample.hitProbability(position) });
  }
  const firstSteered = decisions[0]?.atSequence ?? frames;
  const rate = (some: typeof shots): number => some.filter((shot) => shot.hit).length / Math.max(1, some.length);
  return {
    decisions,
    steering,
    before: rate(shots.filter((shot) => shot.sequence < firstSteered)),
    after: rate(shots.filter((shot) => shot.sequence >= firstSteered)),
  };
}

test('the raster visits every second row and column once, back and forth', () => {
  const path = rasterPath(12, 16);
  assert.equal(path.length, 48);
  assert.equal(new Set(path.map((each) => `${each.row},${each.column}`)).size, 48);
  for (let n = 1; n < path.length; n += 1) {
    const [from, to] = [path[n - 1], path[n]];
    assert.equal(Math.abs((from?.row ?? 0) - (to?.row ?? 0)) + Math.abs((from?.column ?? 0) - (to?.column ?? 0)), 2);
  }
});

test('steering raises the hit rate on 20 of 20 samples, with answers 24 frames late', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const { before, after, decisions } = run(seed, 400, 24);
    assert.ok(decisions.length > 0);
    assert.ok(after > 1.5 * before, `seed ${seed}: ${before} before, ${after} after`);
  }
});

test('no position is shot at more often than it lasts', () => {
  const { steering } = run(3, 600, 24);
  assert.ok(Math.max(...steering.counts().map((each) => each.shots)) <= 26);
});

test('each decision starts where the one before led, and later', () => {
  const { decisions } = run(5, 400, 10);
  for (let n = 1; n < decisions.length; n += 1) {
    assert.deepEqual(decisions[n]?.from, decisions[n - 1]?.to);
    assert.ok((decisions[n]?.atSequence ?? 0) > (decisions[n - 1]?.atSequence ?? 0));
  }
});

test('unsteered, the raster is repeated', () => {
  const steering = createSteering({ rows: SAMPLE_ROWS, columns: SAMPLE_COLUMNS, frames: 100, steered: false });
  const visits = Array.from({ length: 96 }, (_, sequence) => steering.next(sequence));
  assert.ok(visits.every((visit) => visit.decision === undefined));
  assert.deepEqual(visits.slice(0, 48), visits.slice(48));
});

test('the ledger tells lost, doubled and unexpected apart, and the summary calls each a fault', () => {
  const ledger = createLedger();
  const position = { row: 0, column: 0 };
  for (const sequence of [0, 1, 2])
    ledger.recordSent({ sequence, digest: `d${sequence}`, bytes: 10, position, sentAtMs: sequence });
  const answer = (sequence: number, digest: string) =>
    ledger.recordResult({
      kind: 'result',
      sequence,
      digest,
      worker: 'w',
      peaks: [],
      hit: sequence === 0,
      position,
      sentAtMs: sequence,
      receivedAtMs: 5,
      doneAtMs: 6,
      answeredAtMs: 10,
    });
  assert.equal(answer(0, 'd0'), true);
  assert.equal(answer(0, 'd0'), false);
  assert.equal(answer(2, 'other'), true);
  assert.equal(answer(9, 'd9'), false);
  const record = {
    source: 'model',
    ledger,
    decisions: [],
    positions: [],
    skippedFiles: [],
    workers: [],
    workersWithoutBye: [],
  } as const;
  const summary = summarize(record);
  assert.deepEqual(summary.lost, [1]);
  assert.equal(summary.duplicated, 1);
  assert.equal(summary.unexpected, 1);
  assert.equal(summary.digestsEqual, false);
  assert.deepEqual(summary.latencyMs, { p50: 8, p99: 10, max: 10 });
  assert.equal(summary.faults.length, 5);
});
