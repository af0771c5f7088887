// A run against a real database, with its executor crashed before and after every single thing it does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ComputeDeps, followJobs, jobsPage, type Scheduler } from '../compute/index.ts';
import { EXAMPLE_FACILITY } from '../config.ts';
import type { Caller } from '../identity/index.ts';
import { loadPolicySet, openPolicy } from '../policy/index.ts';
import { Problem } from '../problems.ts';
import { checkAttachments, claimStreams, type StreamingDeps, streamsPage } from '../streaming/index.ts';
import { type StreamingTest, streamingTest } from '../streaming/testing.ts';
import { advanceRun } from './advance-run.ts';
import { cancelRun } from './cancel-run.ts';
import { createRun } from './create-run.ts';
import type { PathwayDeps } from './deps.ts';
import type { Run } from './run.ts';
import { type ScriptedScheduler, scriptedScheduler } from './scripted-scheduler.fixture.ts';
import { runById } from './store.ts';

const WORKFLOW = `apiVersion: beamway/v1
kind: Workflow
name: w
streams:
  frames: {template: lcls-frames, parameters: {bufferBytes: 1048576}}
  results: {template: lcls-results, parameters: {bufferBytes: 65536}}
steps:
  first: {executable: /bin/true, streams: {frames: consumer, results: producer}}
  second: {executable: /bin/true, after: [first]}
`;
const DECLARED = { streams: 2, steps: 2 };
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const policy = openPolicy(loadPolicySet(EXAMPLE_FACILITY), silent);

/** What SIGKILL looks like from inside: nothing after it happens. */
class Crash extends Error {}

/** Everything the executor touches, told of before and after it happens. `tick` throws where it is to die. */
function depsThatTick(s: StreamingTest, scheduler: Scheduler, tick: () => void): PathwayDeps {
  const around = async <T>(action: () => Promise<T>): Promise<T> => {
    tick();
    const result = await action();
    tick();
    return result;
  };
  const clock = {
    ...s.deps.clock,
    now: () => {
      tick();
      return s.deps.clock.now();
    },
  };
  const audit = {
    ...s.deps.audit,
    append: (e: Parameters<typeof s.deps.audit.append>[0]) => around(() => s.deps.audit.append(e)),
  };
  const streaming: StreamingDeps = {
    ...s.deps,
    clock,
    audit,
    waiters: {
      ...s.deps.waiters,
      wake(key) {
        tick();
        s.deps.waiters.wake(key);
      },
    },
  };
  const compute: ComputeDeps = {
    db: s.db,
    clock,
    facility: s.deps.facility,
    schedulers: new Map([
      [
        'local',
        {
          ...scheduler,
          submit: (spec) => around(() => scheduler.submit(spec)),
          cancel: (id) => around(() => scheduler.cancel(id)),
        },
      ],
    ]),
    checkStreams: (job) => checkAttachments(streaming, job),
    claimStreams: (job) =>
      around(() => claimStreams(streaming, { ...job, issuedTo: job.submittedBy, streams: job.spec.streams })),
    log: silent,
  };
  const circumstances = () => ({ now: clock.now(), lockdown: false });
  return { db: s.db, clock, facility: s.deps.facility, audit, policy, circumstances, compute, streaming, log: silent };
}

/** One turn of everything around the run: the node opens and closes streams, the scheduler runs jobs. */
async function world(s: StreamingTest, deps: PathwayDeps, scheduler: ScriptedScheduler): Promise<void> {
  const wanted = (await s.sync('dsn01', [])).leases ?? [];
  await s.sync(
    'dsn01',
    wanted.map((l) => l.stream),
  );
  // Some seconds on: a job left behind by a crash is handed over only once nobody can be at it any more.
  const { clock } = deps.compute;
  const later = { ...deps.compute, clock: { ...clock, now: () => clock.now() + 5000 } };
  const follower = followJobs(later, 'local');
  await follower.look();
  await follower.stop();
  scheduler.turnAll('completed');
}

async function toTheEnd(s: StreamingTest, run: Run, scheduler: ScriptedScheduler): Promise<Run> {
  const deps = depsThatTick(s, scheduler, () => undefined);
  for (let turn = 0; turn < 50; turn++) {
    for (let i = 0; i < 20 && (await advanceRun(deps, run.id)); i++);
    const now = await runById(s.db, run.id);
    if (now?.endedAt) return now;
    await world(s, deps, scheduler);
  }
  throw new Error('the run does not end');
}

/** The node links, opens the streams, and the first step is submitted; nothing has run yet. */
async function untilItsFirstJob(s: StreamingTest, deps: PathwayDeps, run: Run): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    for (let i = 0; i < 20 && (await advanceRun(deps, run.id)); i++);
    const wanted = (await s.sync('dsn01', [])).leases ?? [];
    await s.sync(
      'dsn01',
      wanted.map((l) => l.stream),
    );
  }
}

async function start(s: StreamingTest, caller: Caller): Promise<Run> {
  const deps = depsThatTick(s, scriptedScheduler(), () => undefined);
  return createRun(deps, caller, {
    target: s.target,
    workflow: WORKFLOW,
    parameters: {},
    key: null,
    requestId: 'req_1',
  });
}

async function madeBy(s: StreamingTest, caller: Caller) {
  const streams = (await streamsPage(s.db, { released: true, limit: 1000 })).filter((x) => x.createdBy === caller.id);
  const jobs = (await jobsPage(s.db, { limit: 1000 })).filter((x) => x.submittedBy === caller.id);
  return { streams, jobs };
}

const callerNamed = (id: string): Caller => ({ kind: 'system', id, subject: 'test' });
const allowed = async (s: StreamingTest) => ({
  ...(await s.token()),
  scopes: ['job:submit', 'stream:create', 'stream:connect', 'run:create'] as const,
});

test('crashed before or after anything it does, a run makes each stream and each job exactly once', {
  timeout: 120_000,
}, async (t) => {
  const s = await streamingTest(t);
  const scheduler = scriptedScheduler();
  let crashes = 0;
  for (let at = 1; ; at++) {
    const caller = { ...(await allowed(s)), id: `tok_${at}` };
    const run = await start(s, caller);
    let left = at;
    let crashed = false;
    const tick = (): void => {
      left -= 1;
      if (left === 0) crashed = true;
      // Once dead, dead: nothing that comes after may happen either.
      if (crashed) throw new Crash('SIGKILL');
    };
    const mortal = depsThatTick(s, scheduler, tick);
    const steady = depsThatTick(s, scheduler, () => undefined);
    for (let turn = 0; turn < 50 && !crashed; turn++) {
      try {
        for (let i = 0; i < 20 && (await advanceRun(mortal, run.id)); i++);
      } catch (error) {
        if (!crashed) throw error;
      }
      if ((await runById(s.db, run.id))?.endedAt) break;
      if (!crashed) await world(s, steady, scheduler);
    }
    if (crashed) crashes += 1;
    const ended = await toTheEnd(s, run, scheduler);
    assert.equal(ended.state, 'completed', `crashed at ${at}: ${ended.reason}`);
    const { streams, jobs } = await madeBy(s, caller);
    assert.equal(streams.length, DECLARED.streams, `crashed at ${at}`);
    assert.equal(jobs.length, DECLARED.steps, `crashed at ${at}`);
    assert.ok(streams.every((x) => x.releasedAt !== null));
    assert.ok(jobs.every((x) => x.state === 'completed'));
    if (!crashed) break;
  }
  assert.ok(crashes > 20, `only ${crashes} crashes`);
  assert.equal((await scheduler.list()).length, (crashes + 1) * DECLARED.steps, 'no job was submitted twice');
  t.diagnostic(`${crashes} crashes, one at every call to the audit log, the scheduler, the clock and the nodes`);
});

test('a cancelled run ends its jobs first, then releases its streams', async (t) => {
  const s = await streamingTest(t);
  const scheduler = scriptedScheduler();
  const caller = await allowed(s);
  const run = await start(s, caller);
  const deps = depsThatTick(s, scheduler, () => undefined);
  await untilItsFirstJob(s, deps, run);
  const running = await runById(s.db, run.id);
  assert.ok(running !== undefined);
  assert.ok(running.effects.some((e) => e.kind === 'job' && e.state === 'made'));
  assert.equal((await cancelRun(deps, running, 'someone')).state, 'cancelling');
  const ended = await toTheEnd(s, run, scheduler);
  assert.equal(ended.state, 'cancelled');
  assert.match(ended.reason, /cancelled by someone/);
  const { streams, jobs } = await madeBy(s, caller);
  assert.deepEqual(
    jobs.map((j) => j.state),
    ['cancelled'],
  );
  assert.equal(streams.length, 2);
  assert.ok(streams.every((x) => x.releasedAt !== null));
  assert.equal((await cancelRun(deps, ended, 'late')).state, 'cancelled', 'an ended run stays as it is');
});

test('a step that fails ends the run as failed, and its streams are released', async (t) => {
  const s = await streamingTest(t);
  const scheduler = scriptedScheduler();
  const caller = await allowed(s);
  const run = await start(s, caller);
  const deps = depsThatTick(s, scheduler, () => undefined);
  await untilItsFirstJob(s, deps, run);
  scheduler.turnAll('failed');
  const ended = await toTheEnd(s, run, scheduler);
  assert.equal(ended.state, 'failed');
  assert.match(ended.reason, /job first/);
  const { streams, jobs } = await madeBy(s, caller);
  assert.equal(jobs.length, 1, 'the step after it never began');
  assert.ok(streams.every((x) => x.releasedAt !== null));
});

test('a token that may not make streams cannot start a workflow that has some', async (t) => {
  const s = await streamingTest(t);
  const deps = depsThatTick(s, scriptedScheduler(), () => undefined);
  const full = await allowed(s);
  const refused = (code: string) => (error: unknown) => error instanceof Problem && error.code === code;
  for (const missing of ['stream:create', 'stream:connect', 'job:submit'] as const) {
    const caller = { ...full, scopes: full.scopes.filter((x) => x !== missing) };
    await assert.rejects(
      createRun(deps, caller, { target: s.target, workflow: WORKFLOW, parameters: {}, key: null, requestId: 'req_1' }),
      refused('refused'),
    );
  }
  const foreign = WORKFLOW.replace('lcls-frames', 'nowhere');
  await assert.rejects(
    createRun(deps, full, { target: s.target, workflow: foreign, parameters: {}, key: null, requestId: 'req_1' }),
    refused('invalid-request'),
  );
  const plain = 'apiVersion: beamway/v1\nkind: Workflow\nname: w\nsteps: {a: {executable: /bin/true}}\n';
  const only = { ...full, scopes: ['job:submit'] as const };
  const input = { target: s.target, workflow: plain, parameters: {}, key: 'once', requestId: 'req_1' };
  const first = await createRun(deps, only, input);
  assert.equal((await createRun(deps, only, input)).id, first.id, 'the same key is the same run');
});

test('two executors on one run do nothing twice', async (t) => {
  const s = await streamingTest(t);
  const scheduler = scriptedScheduler();
  const caller = callerNamed('tok_two');
  const full = { ...(await allowed(s)), id: caller.id };
  const run = await start(s, full);
  const deps = [1, 2, 3].map(() => depsThatTick(s, scheduler, () => undefined));
  for (let turn = 0; turn < 20; turn++) {
    await Promise.all(deps.map((d) => advanceRun(d, run.id)));
    if ((await runById(s.db, run.id))?.endedAt) break;
    const [one] = deps;
    if (one !== undefined) await world(s, one, scheduler);
  }
  assert.equal((await runById(s.db, run.id))?.state, 'completed');
  const { streams, jobs } = await madeBy(s, caller);
  assert.deepEqual([streams.length, jobs.length], [2, 2]);
});
