/**
 * Fixture: jobs on a real database, and a FAKE scheduler behind them that a test can make unavailable, slow, refusing or forgetful: a real one cannot be made so. It runs
 * nothing. That real jobs run is shown by local/, slurm/ and the flows.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
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
  computeMigrations,
  followJobs,
  JOB_CHANGED,
  type Job,
  type JobSpec,
  type JobWish,
  jobById,
  type Scheduler,
  SchedulerError,
  type SchedulerJobSpec,
  submitJob,
} from './index.ts';
import { hasEnded, type JobControl, type NativeJob, SCHEDULER_FEATURES } from './scheduler.ts';

const facility = loadFacility(new URL('../../facility', import.meta.url).pathname);
const ROOMS = [databaseMigrations, { room: 'compute', migrations: computeMigrations }];
export const SPEC: JobSpec = {
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
export interface FakeScheduler extends Scheduler {
  readonly submitted: SchedulerJobSpec[];
  readonly cancelled: string[];
  /** Acts of `control`, such as `hold n0`. */
  readonly acts: string[];
  /** How often all jobs were listed. */
  lists: number;
  /** Thrown by everything until it is undefined again. */
  failWith: SchedulerError | undefined;
  /** Output by native id; empty while there is none. */
  readonly written: Map<string, string>;
  /** False: it says all it has each time, as the local scheduler does. */
  incremental: boolean;
  set(key: string, change: Partial<NativeJob>): void;
  forget(key: string): void;
}

export function fakeScheduler(): FakeScheduler {
  const jobs = new Map<string, { readonly native: NativeJob; readonly version: number }>();
  let version = 0;
  const put = (native: NativeJob): NativeJob => {
    version += 1;
    jobs.set(native.key, { native, version });
    return native;
  };
  const all = (): NativeJob[] => [...jobs.values()].map((j) => j.native);
  const find = (nativeId: string): NativeJob => {
    const job = all().find((j) => j.nativeId === nativeId);
    if (job === undefined) throw new SchedulerError('not-found', nativeId);
    return job;
  };
  const check = (): void => {
    if (fake.failWith !== undefined) throw fake.failWith;
  };
  const act = (verb: string, nativeId: string, change: Partial<NativeJob>): NativeJob => {
    check();
    fake.acts.push(`${verb} ${nativeId}`);
    return put({ ...find(nativeId), ...change });
  };
  const control: JobControl = {
    hold: async (id) => act('hold', id, { state: 'held', reason: 'held by its user' }),
    release: async (id) => act('release', id, { state: 'queued', reason: '' }),
    requeue: async (id) => act('requeue', id, { state: 'queued', reason: 'queued again' }),
    signal: async (id, signal) => act(`signal ${signal}`, id, {}),
    update: async (id, { notBefore: _, ...change }) => act(`update ${Object.keys(change)}`, id, change),
  };
  const fake: FakeScheduler = {
    features: new Set(SCHEDULER_FEATURES),
    submitted: [],
    cancelled: [],
    acts: [],
    lists: 0,
    failWith: undefined,
    written: new Map(),
    incremental: false,
    control,
    async submit(spec) {
      check();
      fake.submitted.push(spec);
      const known = jobs.get(spec.key)?.native;
      if (known !== undefined) return known;
      const { key, name, project, user, tier, nodes, slotsPerNode, timeLimitSeconds, requeue } = spec;
      const facts = { key, name, project, user, tier, nodes, slotsPerNode, timeLimitSeconds, requeue };
      const state = spec.hold === true ? 'held' : 'queued';
      return put({ ...facts, nativeId: `n${jobs.size}`, state, reason: '', submittedAtMs: 0, attempts: [] });
    },
    async cancel(nativeId) {
      check();
      fake.cancelled.push(nativeId);
      const job = find(nativeId);
      return hasEnded(job.state) ? job : put({ ...job, state: 'cancelled', reason: 'cancelled' });
    },
    async show(nativeId) {
      check();
      return find(nativeId);
    },
    async list() {
      check();
      fake.lists += 1;
      return all();
    },
    async changes(cursor) {
      check();
      const complete = cursor === undefined || !fake.incremental;
      const now = [...jobs.values()].filter((j) => complete || j.version > Number(cursor)).map((j) => j.native);
      return { cursor: String(version), complete, jobs: now };
    },
    async output(nativeId, { offset, limit }) {
      check();
      const bytes = Buffer.from(fake.written.get(nativeId) ?? '');
      return { bytes: bytes.subarray(offset, offset + limit), size: bytes.length };
    },
    nodes: async () => [],
    tiers: async () => [],
    watch: () => () => undefined,
    close: async () => undefined,
    set(key, change) {
      const job = jobs.get(key)?.native;
      assert.ok(job !== undefined);
      put({ ...job, ...change });
    },
    forget: (key) => void jobs.delete(key),
  };
  return fake;
}

export interface Where {
  readonly project: string;
  readonly environment: string;
}

export interface Room {
  readonly deps: ComputeDeps;
  readonly fake: FakeScheduler;
  readonly clock: HandWoundClock;
  submit(change?: Partial<JobWish>, key?: string | null, where?: Where): Promise<Job>;
  now(job: Job): Promise<Job>;
  /** One look of a new follower, to its end. */
  look(): Promise<void>;
  /** What the outbox says of the job. */
  told(job: Job): Promise<readonly { readonly state: string; readonly ended: boolean }[]>;
}

export const caller: Caller = systemCaller('test');
export const target = (where: Where = { project: 'demo', environment: 'ace' }) =>
  resolveTarget(facility, caller, where);

export async function room(t: TestContext): Promise<Room> {
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
    submit: (change = {}, key = null, where) =>
      submitJob(deps, caller, { target: target(where), spec: { ...SPEC, ...change }, key, requestId: 'req_1' }),
    async now(job) {
      return (await jobById(deps.db, job.id)) ?? assert.fail(`${job.id} is gone`);
    },
    async look() {
      const follower = followJobs(deps, 'local');
      try {
        await follower.look();
      } finally {
        await follower.stop();
      }
    },
    async told(job) {
      const rows = await sql<{ payload: { state: string; ended: boolean } }>`
        select payload from outbox_pending where topic = ${JOB_CHANGED} and key = ${job.id}`.execute(deps.db);
      return rows.rows.map(({ payload: { state, ended } }) => ({ state, ended }));
    },
  };
}

export const problem = (code: string, pointers?: readonly string[]) => (thrown: unknown) => {
  assert.ok(thrown instanceof Problem, String(thrown));
  assert.equal(thrown.code, code, thrown.message);
  if (pointers !== undefined)
    assert.deepEqual(
      (thrown.extras.errors ?? []).map((e) => e.pointer),
      pointers,
    );
  return true;
};
