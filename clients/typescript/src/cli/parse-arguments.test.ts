import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidArgumentError } from 'commander';
import fc from 'fast-check';
import { dependency, memory, naturalNumber, pointInTime, taskRange } from './parse-arguments.ts';

const NOW = Date.UTC(2026, 10, 23, 12);
const refused = (thrown: unknown): boolean => thrown instanceof InvalidArgumentError;

test('a range of tasks is read as sbatch writes it', () => {
  assert.deepEqual(taskRange('0-99%10'), { first: 0, last: 99, step: 1, atOnce: 10 });
  assert.deepEqual(taskRange('1-9:2'), { first: 1, last: 9, step: 2 });
  assert.deepEqual(taskRange('1-9:2%3'), { first: 1, last: 9, step: 2, atOnce: 3 });
  assert.deepEqual(taskRange('7'), { first: 7, last: 7, step: 1 });
  for (const text of ['', '9-1', '-1', '1-', '1,2', '0-9:0', '0-9%0', '0-9%', '1-2-3', ' 1-2', '1e3', '99999999'])
    assert.throws(() => taskRange(text), refused, text);
});

test('a point in time is a date, here or with its zone, or so long from now', () => {
  assert.equal(pointInTime('+2h', NOW), '2026-11-23T14:00:00.000Z');
  assert.equal(pointInTime('2026-12-01T08:00Z', NOW), '2026-12-01T08:00:00.000Z');
  assert.equal(pointInTime('2026-12-01T08:00:30+02:00', NOW), '2026-12-01T06:00:30.000Z');
  assert.equal(pointInTime('2026-12-01', NOW), new Date(2026, 11, 1).toISOString());
  assert.equal(pointInTime('2026-12-01T08:00', NOW), new Date(2026, 11, 1, 8).toISOString());
  for (const text of [
    '',
    'tomorrow',
    '08:00',
    '2026-13-01',
    '2026-12-01 08:00',
    '+',
    '+0h',
    '1764576000',
    '2026-12-01T25:00',
  ])
    assert.throws(() => pointInTime(text, NOW), refused, text);
});

test('memory is in MiB, and a dependency is on success unless it says otherwise', () => {
  assert.deepEqual(['512M', '4G', '1T', '300'].map(memory), [512, 4096, 1_048_576, 300]);
  for (const text of ['0', '4g', '1.5G', '-1', '4GiB', '']) assert.throws(() => memory(text), refused, text);
  assert.deepEqual(dependency('job_2:ended', dependency('job_1')), [
    { job: 'job_1', when: 'succeeded' },
    { job: 'job_2', when: 'ended' },
  ]);
  for (const text of ['', '7', 'job_1:', 'job_1:ok', 'job_1:ended:x', 'afterok:7'])
    assert.throws(() => dependency(text), refused, text);
});

test('whatever is written, it is read or refused, and never anything else', () => {
  const near = fc.stringMatching(/^[0-9:%+TZ.Mhjob_-]{1,24}$/);
  fc.assert(
    fc.property(fc.oneof(fc.string(), near), (text) => {
      for (const parse of [taskRange, memory, naturalNumber, dependency, (t: string) => pointInTime(t, NOW)])
        try {
          const value: unknown = parse(text);
          if (typeof value === 'number') assert.ok(Number.isSafeInteger(value) && value >= 0);
          if (parse === taskRange) {
            const { first, last, step, atOnce = 1 } = taskRange(text);
            assert.ok(first >= 0 && last >= first && step >= 1 && atOnce >= 1);
          }
        } catch (thrown) {
          assert.ok(refused(thrown), String(thrown));
        }
    }),
    { numRuns: 2000 },
  );
});
