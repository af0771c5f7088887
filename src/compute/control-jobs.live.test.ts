/** Hold, release, requeue, signal and update on a real database: what is asked, what is kept, and what is refused. The scheduler is a fake. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ComputeDeps,
  holdJob,
  type Job,
  releaseJob,
  requeueJob,
  type Scheduler,
  SchedulerError,
  signalJob,
  updateJob,
} from './index.ts';
import { problem, room, target } from './jobs.fixture.ts';

const by = { person: 'ada', requestId: 'req_2' };
const VERBS: Readonly<Record<string, (deps: ComputeDeps, job: Job) => Promise<Job>>> = {
  hold: (deps, job) => holdJob(deps, by, job),
  release: (deps, job) => releaseJob(deps, by, job),
  requeue: (deps, job) => requeueJob(deps, by, job),
  signal: (deps, job) => signalJob(deps, job, { signal: 'USR1', by }),
  update: (deps, job) => updateJob(deps, job, { target: target(), change: { name: 'other' }, by }),
};

test('a waiting job is held and released again, as often as it is asked', async (t) => {
  const { deps, submit, fake, now, told } = await room(t);
  const job = await submit();
  assert.equal((await holdJob(deps, by, job)).state, 'held');
  assert.equal((await holdJob(deps, by, await now(job))).reason, 'held by its user');
  assert.equal((await releaseJob(deps, by, await now(job))).state, 'queued');
  assert.equal((await now(job)).state, 'queued');
  assert.deepEqual(fake.acts, ['hold n0', 'hold n0', 'release n0']);
  assert.deepEqual(
    (await told(job)).map((c) => c.state),
    ['held', 'queued'],
  );
});

test('a running job is queued again, unless it was submitted to run once', async (t) => {
  const { deps, submit, fake, now } = await room(t);
  const job = await submit();
  fake.set(job.id, { state: 'running' });
  assert.equal((await requeueJob(deps, by, job)).state, 'queued');
  assert.equal((await now(job)).reason, 'queued again');
  const once = await submit({ requeue: false });
  await assert.rejects(requeueJob(deps, by, once), problem('conflict'));
  assert.deepEqual(fake.acts, ['requeue n0']);
});

test('a signal reaches a running job; one that has no process is not lied about', async (t) => {
  const { deps, submit, fake } = await room(t);
  const job = await submit();
  await assert.rejects(signalJob(deps, job, { signal: 'USR1', by }), problem('conflict'));
  fake.set(job.id, { state: 'running' });
  assert.equal((await signalJob(deps, job, { signal: 'USR1', by })).state, 'running');
  assert.deepEqual(fake.acts, ['signal USR1 n0']);
});

test('what is changed is kept, within the bounds of a submission', async (t) => {
  const { deps, submit, fake, now } = await room(t);
  const job = await submit();
  const change = { name: 'other', timeLimitSeconds: 120, tier: 'interactive', notBefore: '2026-01-02T00:00:00Z' };
  await updateJob(deps, job, { target: target(), change, by });
  const { spec } = await now(job);
  assert.deepEqual({ ...spec, script: '' }, { ...job.spec, ...change, script: '' });
  const wrong = (c: object) => updateJob(deps, job, { target: target(), change: c, by });
  await assert.rejects(
    wrong({ timeLimitSeconds: 31_000_000 }),
    problem('parameter-out-of-bounds', ['#/timeLimitSeconds']),
  );
  await assert.rejects(wrong({ tier: 'nope' }), problem('unknown-tier', ['#/tier']));
  assert.equal(fake.acts.length, 1);
});

test('a follower with an older copy does not undo a change', async (t) => {
  const { deps, submit, look, now, fake } = await room(t);
  const job = await submit();
  await updateJob(deps, job, { target: target(), change: { name: 'other' }, by });
  fake.set(job.id, { state: 'running' });
  await look();
  assert.deepEqual([(await now(job)).spec.name, (await now(job)).state], ['other', 'running']);
});

for (const [verb, act] of Object.entries(VERBS)) {
  test(`${verb}: refused of a job that has ended, by a scheduler without it, or that is away, or that says no`, async (t) => {
    const { deps, submit, fake, now } = await room(t);
    const job = await submit();
    fake.set(job.id, { state: 'running' });
    const local: Scheduler = { ...fake, features: new Set() };
    await assert.rejects(act({ ...deps, schedulers: new Map([['local', local]]) }, job), problem('not-supported-here'));
    await assert.rejects(act(deps, { ...job, nativeId: null }), problem('unavailable'));
    for (const [kind, code] of [
      ['unavailable', 'unavailable'],
      ['invalid', 'conflict'],
      ['not-found', 'conflict'],
      ['refused', 'account-refused'],
      ['limit', 'limit-reached'],
    ] as const) {
      fake.failWith = new SchedulerError(kind, `no: ${kind}`, { limit: 'QOSMaxWallDurationPerJobLimit' });
      await assert.rejects(act(deps, job), (thrown: unknown) => {
        problem(code)(thrown);
        const { limit } = (thrown as { readonly extras: { readonly limit?: string } }).extras;
        assert.equal(limit, kind === 'limit' ? 'QOSMaxWallDurationPerJobLimit' : undefined);
        return true;
      });
    }
    fake.failWith = undefined;
    assert.deepEqual(fake.acts, []);
    assert.deepEqual(await now(job), job);
    for (const state of ['completed', 'lost', 'cancelled'] as const)
      await assert.rejects(act(deps, { ...job, state }), problem('job-ended'));
  });
}
