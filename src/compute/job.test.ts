import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JOB_STATES } from '../api/contract/jobs.ts';
import {
  changedAttempts,
  ENDED_STATES,
  follow,
  type Job,
  type JobState,
  jobEnded,
  NO_FACTS,
  OPEN_STATES,
  tasksOf,
} from './job.ts';
import { NATIVE_JOB_STATES, type NativeJob } from './scheduler.ts';

const AT = new Date(5000);
const job = (change: Partial<Job> = {}): Job => ({
  id: 'job_1',
  project: 'demo',
  environment: 'ace',
  cluster: 'local',
  nativeId: null,
  spec: {
    name: 'x',
    tier: 'batch',
    script: '#!/bin/sh\n',
    arguments: [],
    variables: {},
    nodes: 1,
    slotsPerNode: 1,
    timeLimitSeconds: 60,
    requeue: true,
    streams: [],
  },
  state: 'accepted',
  reason: 'on its way to the scheduler',
  facts: NO_FACTS,
  submittedBy: 'tok_1',
  subject: 'ada',
  requestId: 'req_1',
  cancelRequestedAt: null,
  submittedAt: new Date(0),
  updatedAt: new Date(0),
  attempts: [],
  ...change,
});
const native = (change: Partial<NativeJob> = {}): NativeJob => ({
  nativeId: '7',
  key: 'job_1',
  name: 'x',
  project: 'demo',
  user: 'ada',
  tier: 'batch',
  state: 'running',
  reason: '',
  nodes: 1,
  slotsPerNode: 1,
  timeLimitSeconds: 60,
  requeue: true,
  submittedAtMs: 0,
  attempts: [
    { attempt: 1, startedAtMs: 10, placement: [{ node: 'n01', slots: [0] }], stdoutPath: '/o', stderrPath: '/e' },
  ],
  ...change,
});

test('a job takes over state, reason, native id and attempts of its scheduler', () => {
  const known = follow(job(), native({ reason: 'because' }), AT);
  assert.deepEqual(
    { state: known.state, reason: known.reason, nativeId: known.nativeId, updatedAt: known.updatedAt },
    { state: 'running', reason: 'because', nativeId: '7', updatedAt: AT },
  );
  assert.deepEqual(known.attempts, [
    {
      task: null,
      attempt: 1,
      startedAt: new Date(10),
      endedAt: null,
      placement: [{ node: 'n01', slots: [0] }],
      outcome: null,
      exitCode: null,
      signal: null,
      stdoutPath: '/o',
      stderrPath: '/e',
    },
  ]);
});

test('hearing the same twice gives the very same job', () => {
  const once = follow(job(), native(), AT);
  assert.equal(follow(once, native(), new Date(9000)), once);
});

test('an ended job never changes again, whatever is heard of it', () => {
  const ended: JobState[] = ['completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost'];
  for (const state of ended)
    for (const heard of NATIVE_JOB_STATES) {
      const before = job({ state });
      assert.equal(follow(before, native({ state: heard }), AT), before);
    }
});

test('what is not the scheduler’s to say stays as it was', () => {
  fc.assert(
    fc.property(fc.constantFrom(...NATIVE_JOB_STATES), fc.string(), (state, reason) => {
      const before = job({ cancelRequestedAt: new Date(3) });
      const {
        nativeId: _a,
        state: after,
        reason: _b,
        facts: _j,
        attempts: _c,
        updatedAt: _d,
        ...kept
      } = follow(before, native({ state, reason, name: 'other', project: 'other', user: 'other' }), AT);
      const { nativeId: _e, state: _f, reason: _g, facts: _k, attempts: _h, updatedAt: _i, ...had } = before;
      assert.deepEqual(kept, had);
      assert.equal(after, state);
      assert.equal(
        jobEnded(after),
        ['completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost'].includes(state),
      );
    }),
  );
});

test('a job takes over what its scheduler alone knows, and loses it where it is said no more', () => {
  const tasks = { total: 3, waiting: 1, running: 1, completed: 1, failed: 0 };
  const more = { reasonCode: 'QOSGrpNodeLimit', partition: 'gpu', account: 'demo', unixUser: 'bw-demo', tasks };
  const known = follow(job(), native({ ...more, expectedStartMs: 99 }), AT);
  assert.deepEqual(known.facts, { ...more, expectedStartMs: 99 });
  assert.deepEqual(follow(known, native(), AT).facts, NO_FACTS);
});

test('attempts of an array stand by task and number, and only those that are new are written', () => {
  const of = (task: number, attempt: number, endedAtMs?: number) => ({
    task,
    attempt,
    startedAtMs: 1,
    placement: [],
    stdoutPath: '/o',
    stderrPath: '/e',
    ...(endedAtMs === undefined ? {} : { endedAtMs }),
  });
  const first = follow(job(), native({ attempts: [of(10, 1), of(2, 2), of(2, 1)] }), AT);
  assert.deepEqual(
    first.attempts.map((a) => [a.task, a.attempt]),
    [
      [2, 1],
      [2, 2],
      [10, 1],
    ],
  );
  const next = follow(first, native({ attempts: [of(2, 1), of(2, 2, 5), of(10, 1), of(11, 1)] }), AT);
  assert.deepEqual(
    changedAttempts(first, next).map((a) => [a.task, a.attempt]),
    [
      [2, 2],
      [11, 1],
    ],
  );
});

test('the states of the room, of the contract and of the scheduler port are the same', () => {
  assert.deepEqual([...OPEN_STATES, ...ENDED_STATES].sort(), [...JOB_STATES].sort());
  assert.deepEqual(['accepted', ...NATIVE_JOB_STATES].sort(), [...JOB_STATES].sort());
});

test('tasks are counted as Slurm numbers them', () => {
  const naturals = fc.nat(500);
  fc.assert(
    fc.property(naturals, naturals, fc.integer({ min: 1, max: 50 }), (first, more, step) => {
      let count = 0;
      for (let task = first; task <= first + more; task += step) count += 1;
      assert.equal(tasksOf({ array: { first, last: first + more, step } }), count);
    }),
  );
  assert.equal(tasksOf({}), 1);
});
