// What a job's record becomes of what Slurm says and what its folder proves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QueueRow } from '../batch-order.ts';
import type { FolderAttempt } from './read-attempts.ts';
import { settle, settleArray, stateOf } from './settle-record.ts';

const row = (over: Partial<QueueRow>): QueueRow => ({
  jobId: '7',
  name: 'job',
  user: 'bw-demo',
  account: 'demo',
  qos: 'batch',
  partition: 'batch',
  state: 'RUNNING',
  reasonCode: '',
  comment: '',
  priority: 1,
  restarts: 0,
  requeue: true,
  nodes: 1,
  nodeNames: ['n1'],
  submitMs: 1_000_000,
  ...over,
});
const attempt = (over: Partial<FolderAttempt>): FolderAttempt => ({
  attempt: 1,
  submission: 1,
  nativeId: '7',
  nodes: ['n1'],
  startedAtMs: 1_010_000,
  ...over,
});
const ended = (code: number, how: 'ended' | 'signalled' | 'time-limit' | 'unattached' = 'ended') => ({
  code,
  how,
  requeues: 0,
  atMs: 1_020_000,
});
const outputOf = () => ({ stdoutPath: '/o', stderrPath: '/e' });
const of = (r: Partial<QueueRow>, attempts: readonly FolderAttempt[]) =>
  settle({ row: row(r), submission: 1, attempts, outputOf });

test('a running job has an open attempt; one that ended tells its exit code', () => {
  const running = of({}, [attempt({})]);
  assert.equal(running.state, 'running');
  assert.deepEqual([running.attempts[0]?.outcome, running.attempts[0]?.endedAtMs], [undefined, undefined]);
  const failed = of({ state: 'FAILED', exitCode: 7, endMs: 1_020_000 }, [attempt({ exit: ended(7) })]);
  assert.deepEqual(
    [failed.state, failed.attempts[0]?.outcome, failed.attempts[0]?.exitCode, failed.endedAtMs],
    ['failed', 'failed', 7, 1_020_000],
  );
});

test('a preempted job waits again, its first attempt is over as preempted', () => {
  const waits = of({ state: 'PENDING', restarts: 1, reasonCode: 'BeginTime', preemptMs: 1_015_000 }, [attempt({})]);
  assert.deepEqual([waits.state, waits.attempts.map((a) => a.outcome)], ['queued', ['preempted']]);
  const again = of({ restarts: 1, preemptMs: 1_015_000 }, [
    attempt({}),
    attempt({ attempt: 2, startedAtMs: 1_030_000 }),
  ]);
  assert.deepEqual([again.state, again.attempts.map((a) => a.outcome)], ['running', ['preempted', undefined]]);
  const gone = of({ state: 'PREEMPTED', endMs: 1_016_000 }, [attempt({ exit: ended(143, 'signalled') })]);
  assert.deepEqual(
    [gone.state, gone.attempts[0]?.outcome, gone.attempts[0]?.signal],
    ['cancelled', 'preempted', 'SIGTERM'],
  );
});

test('an attempt ends for the reason that is known best', () => {
  const outcome = (state: string, exit?: FolderAttempt['exit']) =>
    of({ state, endMs: 1_020_000 }, [attempt(exit === undefined ? {} : { exit })]).attempts[0]?.outcome;
  assert.equal(outcome('TIMEOUT'), 'timed-out');
  assert.equal(outcome('FAILED', ended(124, 'time-limit')), 'timed-out');
  assert.equal(outcome('CANCELLED'), 'cancelled');
  assert.equal(outcome('NODE_FAIL'), 'node-failed');
  assert.equal(outcome('FAILED', ended(74, 'unattached')), 'not-started');
  assert.equal(outcome('COMPLETED', ended(0)), 'completed');
  assert.equal(of({ state: 'PENDING', restarts: 1 }, [attempt({})]).attempts[0]?.outcome, 'requeued');
});

test('a job that Slurm runs has an open attempt before its wrapper has written a word', () => {
  const first = of({ startMs: 1_005_000, nodeNames: ['n1', 'n2'] }, []);
  assert.deepEqual([first.state, first.attempts.length, first.attempts[0]?.nodes], ['running', 1, ['n1', 'n2']]);
  const second = of({ startMs: 1_030_000, restarts: 1 }, [attempt({})]);
  assert.deepEqual(
    second.attempts.map((a) => [a.attempt, a.outcome]),
    [
      [1, 'requeued'],
      [2, undefined],
    ],
  );
  assert.equal(of({ startMs: 1_009_000 }, [attempt({})]).attempts.length, 1);
});

test('a held job says so; a state that this table does not know neither ends nor loses a job', () => {
  assert.equal(stateOf({ state: 'PENDING', reasonCode: 'JobHeldUser', priority: 0 }), 'held');
  assert.equal(stateOf({ state: 'PENDING', reasonCode: 'Priority', priority: 5 }), 'queued');
  assert.equal(stateOf({ state: 'SOMETHING_NEW', reasonCode: '', priority: 5 }), 'queued');
});

test('an array runs while any task runs, and ends when all have ended', () => {
  const half = settleArray(3, [row({ tasks: [2] })], { '0': 'completed', '1': 'failed' });
  assert.deepEqual(
    [half.state, half.tasks],
    ['running', { total: 3, waiting: 0, running: 1, completed: 1, failed: 1 }],
  );
  assert.equal(settleArray(3, [], { '0': 'completed', '1': 'failed', '2': 'completed' }).state, 'failed');
  assert.equal(settleArray(2, [row({ state: 'PENDING', tasks: [0, 1] })], {}).state, 'queued');
  assert.equal(settleArray(2, [row({ state: 'PENDING', tasks: [0, 1], reasonCode: 'JobHeldUser' })], {}).state, 'held');
});
