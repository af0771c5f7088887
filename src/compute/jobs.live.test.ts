/**
 * Jobs on a real database. The scheduler behind them is a FAKE that a test can make unavailable, slow, refusing or forgetful: the local one cannot
 * be made so. That real jobs run is shown by local/, by the flows and by the demonstration.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { type HandWoundClock, handWoundClock } from '../clock.ts';
import { databaseMigrations, silentLog } from '../database/index.ts';
import { testDatabase } from '../database/testing.ts';
import { loadFacility } from '../facility/index.ts';
import { type Caller, systemCaller } from '../identity/index.ts';
import { resolveTarget } from '../policy/index.ts';
import { Problem } from '../problems.ts';
import {
  type ComputeDeps,
  cancelJob,
  computeMigrations,
  followJobs,
  JOB_CHANGED,
  type Job,
  type JobSpec,
  jobById,
  jobsPage,
  type Scheduler,
  SchedulerError,
  type SchedulerJobSpec,
  submitJob,
} from './index.ts';
import type { NativeJob } from './scheduler.ts';

const facility = loadFacility(new URL('../../facility', import.meta.url).pathname);
const ROOMS = [databaseMigrations, { room: 'compute', migrations: computeMigrations }];
const SPEC: JobSpec = {
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
};

/** A fake: it runs nothing, keeps jobs in memory, and does what the test says. */
interface FakeScheduler extends Scheduler {
  readonly submitted: SchedulerJobSpec[];
  readonly cancelled: string[];
  /** Thrown by everything until it is undefined again. */
  failWith: SchedulerError | undefined;
  set(key: string, change: Partial<NativeJob>): void;
  forget(key: string): void;
}

function fakeScheduler(): FakeScheduler {
  const jobs = new Map<string, NativeJob>();
  const check = (fake: FakeScheduler): void => {
    if (fake.failWith !== undefined) throw fake.failWith;
  };
  return {
    features: new Set(),
    submitted: [],
    cancelled: [],
    failWith: undefined,
    async submit(spec) {
      check(this);
      this.submitted.push(spec);
      const known = jobs.get(spec.key);
      if (known !== undefined) return known;
      const { key, name, project, user, tier, nodes, slotsPerNode, timeLimitSeconds, requeue } = spec;
      const facts = { key, name, project, user, tier, nodes, slotsPerNode, timeLimitSeconds, requeue };
      const native: NativeJob = {
        ...facts,
        nativeId: `n${jobs.size}`,
        state: 'queued',
        reason: '',
        submittedAtMs: 0,
        attempts: [],
      };
      jobs.set(key, native);
      return native;
    },
    async cancel(nativeId) {
      check(this);
      this.cancelled.push(nativeId);
      const job = [...jobs.values()].find((j) => j.nativeId === nativeId);
      if (job === undefined) throw new SchedulerError('not-found', nativeId);
      const ended: NativeJob = { ...job, state: 'cancelled', reason: 'cancelled' };
      jobs.set(job.key, ended);
      return ended;
    },
    async show(nativeId) {
      throw new SchedulerError('not-found', nativeId);
    },
    async list() {
      check(this);
      return [...jobs.values()];
    },
    async changes() {
      return { cursor: '', complete: true, jobs: await this.list() };
    },
    output: async () => ({ bytes: Buffer.alloc(0), size: 0 }),
    nodes: async () => [],
    tiers: async () => [],
    watch: () => () => undefined,
    close: async () => undefined,
    set(key, change) {
      const job = jobs.get(key);
      assert.ok(job !== undefined);
      jobs.set(key, { ...job, ...change });
    },
    forget: (key) => void jobs.delete(key),
  };
}

interface Room {
  readonly deps: ComputeDeps;
  readonly fake: FakeScheduler;
  readonly clock: HandWoundClock;
  submit(change?: Partial<JobSpec>, key?: string | null, where?: Where): Promise<Job>;
  now(job: Job): Promise<Job>;
  /** One look of the follower, to its end. */
  look(): Promise<void>;
  /** Topics of the outbox by job. */
  told(job: Job): Promise<readonly { readonly state: string; readonly ended: boolean }[]>;
}

interface Where {
  readonly project: string;
  readonly environment: string;
}

const caller: Caller = systemCaller('test');

async function room(t: TestContext): Promise<Room> {
  const { database } = await testDatabase(t, ROOMS);
  const clock = handWoundClock(Date.UTC(2026, 0, 1));
  const fake = fakeScheduler();
  const deps: ComputeDeps = {
    db: database.kysely,
    clock,
    facility,
    schedulers: new Map([['local', fake]]),
    checkStreams: async () => undefined,
    claimStreams: async () => [],
    log: silentLog,
  };
  return {
    deps,
    fake,
    clock,
    submit(change = {}, key = null, where = { project: 'demo', environment: 'ace' }) {
      const target = resolveTarget(facility, caller, where);
      return submitJob(deps, caller, { target, spec: { ...SPEC, ...change }, key, requestId: 'req_1' });
    },
    async now(job) {
      return (await jobById(deps.db, job.id)) ?? assert.fail(`${job.id} is gone`);
    },
    async look() {
      const follower = followJobs(deps, 'local');
      await follower.look();
      await follower.stop();
    },
    async told(job) {
      const rows = await sql<{ payload: { state: string; ended: boolean } }>`
        select payload from outbox_pending where topic = ${JOB_CHANGED} and key = ${job.id}`.execute(deps.db);
      return rows.rows.map(({ payload: { state, ended } }) => ({ state, ended }));
    },
  };
}

const problem = (code: string, pointers?: readonly string[]) => (thrown: unknown) => {
  assert.ok(thrown instanceof Problem, String(thrown));
  assert.equal(thrown.code, code);
  if (pointers !== undefined)
    assert.deepEqual(
      (thrown.extras.errors ?? []).map((e) => e.pointer),
      pointers,
    );
  return true;
};

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

test('a job the scheduler no longer knows is lost after thirty seconds, not before', async (t) => {
  const { submit, fake, look, now, clock, told } = await room(t);
  const job = await submit();
  fake.forget(job.id);
  clock.advance(30_000);
  await look();
  assert.equal((await now(job)).state, 'queued');
  clock.advance(1);
  await look();
  assert.deepEqual([(await now(job)).state, (await now(job)).reason], ['lost', 'the scheduler no longer knows it']);
  assert.deepEqual(await told(job), [{ state: 'lost', ended: true }]);
});

test('attempts become rows, a change is told once, and an ended job hears nothing more', async (t) => {
  const { submit, fake, look, now, told } = await room(t);
  const job = await submit();
  const attempt = {
    attempt: 1,
    startedAtMs: 1000,
    placement: [{ node: 'n01', slots: [0] }],
    stdoutPath: '/o',
    stderrPath: '/e',
  };
  fake.set(job.id, { state: 'running', attempts: [attempt] });
  await look();
  await look();
  const preempted = { ...attempt, endedAtMs: 2000, outcome: 'preempted', signal: 'SIGTERM' } as const;
  const second = {
    ...attempt,
    attempt: 2,
    startedAtMs: 3000,
    endedAtMs: 4000,
    outcome: 'completed',
    exitCode: 0,
  } as const;
  fake.set(job.id, { state: 'completed', attempts: [preempted, second] });
  await look();
  const ended = await now(job);
  assert.deepEqual(
    ended.attempts.map((a) => [a.attempt, a.outcome, a.exitCode, a.signal]),
    [
      [1, 'preempted', null, 'SIGTERM'],
      [2, 'completed', 0, null],
    ],
  );
  assert.deepEqual(await told(job), [
    { state: 'running', ended: false },
    { state: 'completed', ended: true },
  ]);
  fake.set(job.id, { state: 'running' });
  await look();
  assert.deepEqual(await now(job), ended);
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
