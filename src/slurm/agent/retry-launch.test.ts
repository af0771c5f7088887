// Which jobs are released after Slurm could not start them, how often, and that nobody else's hold is touched.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MappedUser, QueueRow } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import type { AgentDeps, AgentJob } from './agent-jobs.ts';
import { isHeldAfterLaunch, retryLaunch } from './retry-launch.ts';

const row = (reasonCode: string, state = 'PENDING'): QueueRow => ({ jobId: '7', state, reasonCode }) as QueueRow;

function bench(release: () => Promise<void> = async () => undefined) {
  let nowMs = 1_000_000;
  const released: string[] = [];
  const deps = {
    clock: { now: () => nowMs },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    write: {
      async release(id: string, _user: MappedUser) {
        await release();
        released.push(id);
      },
    },
  } as unknown as AgentDeps;
  const job = {
    state: { order: { key: 'a', hold: false }, unix: { name: 'ada' }, cancelled: false },
    launches: { released: 0, atMs: 0 },
  } as unknown as AgentJob;
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { deps, job, released, pass };
}

test('only the hold that Slurm sets after a failed launch is taken for one', () => {
  assert.ok(isHeldAfterLaunch(row('launch failed requeued held')));
  assert.ok(isHeldAfterLaunch(row('launch_failed_requeued_held', 'REQUEUE_HOLD')));
  for (const other of ['JobHeldUser', 'JobHeldAdmin', 'Priority', '', 'job requeued in held state'])
    assert.ok(!isHeldAfterLaunch(row(other)), other);
  assert.ok(!isHeldAfterLaunch(row('launch failed requeued held', 'RUNNING')));
});

test('it is released three times, at once, after five seconds and after thirty, and then left held', async () => {
  const { deps, job, released, pass } = bench();
  const held = row('launch failed requeued held');
  const look = async (): Promise<number> => {
    await retryLaunch(deps, job, held);
    return released.length;
  };
  assert.equal(await look(), 1);
  assert.equal(await look(), 1);
  pass(5000);
  assert.deepEqual([await look(), await look()], [2, 2]);
  pass(29_999);
  assert.equal(await look(), 2);
  pass(1);
  assert.equal(await look(), 3);
  pass(86_400_000);
  assert.equal(await look(), 3);
});

test('a release that Slurm does not take counts for nothing and is tried again', async () => {
  let down = true;
  const { deps, job, released } = bench(async () => {
    if (down) throw new SlurmFailure({ kind: 'unavailable', message: 'slurmctld is away' });
  });
  await retryLaunch(deps, job, row('launch failed requeued held'));
  assert.deepEqual([released.length, job.launches.released], [0, 0]);
  down = false;
  await retryLaunch(deps, job, row('launch failed requeued held'));
  assert.deepEqual([released.length, job.launches.released], [1, 1]);
});

test('a job that was cancelled meanwhile is not released', async () => {
  const { deps, job, released } = bench();
  await retryLaunch(deps, { ...job, state: { ...job.state, cancelled: true } }, row('launch failed requeued held'));
  assert.deepEqual(released, []);
});
