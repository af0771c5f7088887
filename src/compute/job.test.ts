import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { follow, type Job, type JobState, jobEnded } from './job.ts';
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
        attempts: _c,
        updatedAt: _d,
        ...kept
      } = follow(before, native({ state, reason, name: 'other', project: 'other', user: 'other' }), AT);
      const { nativeId: _e, state: _f, reason: _g, attempts: _h, updatedAt: _i, ...had } = before;
      assert.deepEqual(kept, had);
      assert.equal(after, state);
      assert.equal(jobEnded(after), ['completed', 'failed', 'cancelled', 'timed-out', 'node-failed'].includes(state));
    }),
  );
});
