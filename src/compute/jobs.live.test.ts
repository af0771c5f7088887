/** Jobs on a real database: submitted, handed over once, cancelled, listed. What a follower does is follow-jobs.live.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { cancelJob, jobsPage, SchedulerError } from './index.ts';
import { problem, room } from './jobs.fixture.ts';

test('a job goes to the scheduler under its own id, and is queued', async (t) => {
  const { submit, fake, now } = await room(t);
  const job = await submit({ arguments: ['a b', "'c'"], variables: { A: '1' } });
  assert.equal(job.state, 'queued');
  const [spec] = fake.submitted;
  assert.deepEqual(
    [spec?.key, spec?.project, spec?.arguments, spec?.environment],
    [job.id, 'demo', ['a b', "'c'"], { A: '1' }],
  );
  assert.deepEqual(await now(job), job);
});

test('what the environment and the tier do not allow is refused before anything is stored', async (t) => {
  const { submit, deps, fake } = await room(t);
  await assert.rejects(submit({ tier: 'nope' }), problem('unknown-tier', ['#/tier']));
  const frontier = { project: 'demo', environment: 'frontier' };
  await assert.rejects(submit({ tier: 'interactive' }, null, frontier), problem('unknown-tier', ['#/tier']));
  await assert.rejects(
    submit({ tier: 'urgent' }, null, { project: 'beamtime', environment: 'ace' }),
    problem('unknown-tier'),
  );
  await assert.rejects(
    submit({ tier: 'urgent', timeLimitSeconds: 14_401, nodes: 17 }),
    problem('parameter-out-of-bounds', ['#/timeLimitSeconds', '#/slotsPerNode']),
  );
  assert.deepEqual(await jobsPage(deps.db, { limit: 10 }), []);
  assert.deepEqual(fake.submitted, []);
});

test('a project that has as many jobs waiting as it may is refused, another is not', async (t) => {
  const { submit, deps } = await room(t);
  const beamtime = { project: 'beamtime', environment: 'ace' };
  const first = await submit({}, null, beamtime);
  await sql`insert into compute_job select 'job_' || n, project, environment, cluster, 'x' || n, null, spec, state, reason,
    submitted_by, subject, null, submitted_at, updated_at from compute_job, generate_series(1, 199) n where id = ${first.id}`.execute(
    deps.db,
  );
  await assert.rejects(submit({}, null, beamtime), problem('limit-reached'));
  assert.equal((await submit()).state, 'queued');
});

test('one key submitted by many at once makes one job, here and at the scheduler', async (t) => {
  const { submit, deps, fake } = await room(t);
  const jobs = await Promise.all(Array.from({ length: 12 }, () => submit({}, 'k')));
  assert.equal(new Set(jobs.map((j) => j.id)).size, 1);
  assert.equal((await jobsPage(deps.db, { limit: 100 })).length, 1);
  assert.equal(new Set(fake.submitted.map((s) => s.key)).size, 1);
  const other = await submit({}, 'k', { project: 'beamtime', environment: 'ace' });
  assert.notEqual(other.id, jobs[0]?.id, 'a key is of its project');
  await assert.rejects(submit({}, 'k', { project: 'demo', environment: 'seeker' }), problem('idempotency-key-reused'));
});

test('while the scheduler is away a job is accepted, and handed over once when it is back', async (t) => {
  const { submit, fake, look, now, clock } = await room(t);
  fake.failWith = new SchedulerError('unavailable', 'away');
  const job = await submit();
  assert.deepEqual([job.state, job.nativeId], ['accepted', null]);
  await assert.rejects(look());
  assert.equal((await now(job)).state, 'accepted');
  fake.failWith = undefined;
  await look();
  assert.equal((await now(job)).state, 'accepted', 'whoever submitted it is still at it');
  clock.advance(3000);
  await look();
  assert.equal((await now(job)).state, 'queued');
  await look();
  assert.equal(fake.submitted.length, 1);
});

test('a job the scheduler refuses has failed, whoever hears of it, and its streams are let go', async (t) => {
  const { submit, fake, look, deps, told, clock } = await room(t);
  for (const [kind, code] of [
    ['too-large', 'job-too-large'],
    ['limit', 'limit-reached'],
    ['unknown-tier', 'unknown-tier'],
    ['invalid', 'invalid-request'],
  ] as const) {
    fake.failWith = new SchedulerError(kind, `no: ${kind}`);
    clock.advance(1);
    await assert.rejects(submit(), problem(code));
    const [failed] = await jobsPage(deps.db, { limit: 1, state: 'failed' });
    assert.ok(failed !== undefined);
    assert.equal(failed.reason, `the scheduler refused it: no: ${kind}`);
    assert.deepEqual(await told(failed), [{ state: 'failed', ended: true }]);
  }
  fake.failWith = new SchedulerError('unavailable', 'away');
  const later = await submit();
  fake.failWith = undefined;
  const { submit: works } = fake;
  fake.submit = async () => {
    throw new SchedulerError('too-large', 'never');
  };
  clock.advance(3000);
  await look();
  fake.submit = works;
  assert.deepEqual(await told(later), [{ state: 'failed', ended: true }]);
});

test('a job cancelled before it was handed over never is', async (t) => {
  const { submit, fake, look, now, deps, told } = await room(t);
  fake.failWith = new SchedulerError('unavailable', 'away');
  const job = await submit();
  const asked = await cancelJob(deps, job);
  assert.deepEqual([asked.state, asked.cancelRequestedAt === null], ['accepted', false]);
  fake.failWith = undefined;
  await look();
  const ended = await now(job);
  assert.deepEqual([ended.state, ended.reason], ['cancelled', 'cancelled before it reached the scheduler']);
  assert.deepEqual(await told(job), [{ state: 'cancelled', ended: true }]);
  assert.deepEqual(fake.submitted, []);
});

test('a wish to cancel stands while the scheduler is away, and is carried out when it is back', async (t) => {
  const { submit, fake, look, now, deps } = await room(t);
  const job = await submit();
  fake.failWith = new SchedulerError('unavailable', 'away');
  assert.equal((await cancelJob(deps, job)).state, 'queued');
  fake.failWith = undefined;
  await look();
  assert.equal((await now(job)).state, 'cancelled');
  assert.deepEqual(fake.cancelled, [job.nativeId]);
  assert.equal((await cancelJob(deps, await now(job))).state, 'cancelled', 'an ended job is left as it is');
  assert.equal(fake.cancelled.length, 1);
});

test('the newest come first, pages meet without a gap, and filters hold', async (t) => {
  const { submit, clock, deps } = await room(t);
  const ids: string[] = [];
  for (let i = 0; i < 7; i++) {
    ids.unshift((await submit({}, null, { project: 'demo', environment: i % 2 === 0 ? 'ace' : 'odo' })).id);
    if (i % 3 === 0) clock.advance(5); // some were submitted at the same moment
  }
  const seen: string[] = [];
  for (let before: string | undefined; ; before = seen.at(-1)) {
    const page = await jobsPage(deps.db, { limit: 2, ...(before !== undefined && { before }) });
    seen.push(...page.map((j) => j.id));
    if (page.length < 2) break;
  }
  assert.deepEqual(seen.toSorted(), ids.toSorted());
  const odo = await jobsPage(deps.db, { limit: 10, environments: ['odo'] });
  assert.deepEqual([odo.length, new Set(odo.map((j) => j.environment))], [3, new Set(['odo'])]);
  assert.deepEqual(await jobsPage(deps.db, { limit: 10, environments: [] }), []);
});
