/** The follower on a real database: what is copied, what is lost, and how little is read where nothing has changed. The scheduler is a fake. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type KyselyPlugin, sql } from 'kysely';
import { cancelJob, followJobs, holdJob, type Job, SchedulerError } from './index.ts';
import { type Room, room } from './jobs.fixture.ts';

test('a job the scheduler no longer knows is lost after thirty seconds, not before', async (t) => {
  const { submit, fake, look, now, clock, told } = await room(t);
  const job = await submit();
  fake.forget(job.id);
  clock.advance(30_000);
  await look();
  assert.equal((await now(job)).state, 'queued');
  clock.advance(2);
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

/** The room with a database that counts the rows it gives. */
async function countingRoom(t: TestContext): Promise<Room & { readonly rows: () => number }> {
  const own = await room(t);
  let rows = 0;
  const counter: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      rows += result.rows.length;
      return result;
    },
  };
  const take = (): number => {
    const counted = rows;
    rows = 0;
    return counted;
  };
  return { ...own, deps: { ...own.deps, db: own.deps.db.withPlugin(counter) }, rows: take };
}

/** So many queued jobs, here and there, without a submission of each. */
async function manyOpen({ submit, deps, fake }: Room, count: number): Promise<Job> {
  const first = await submit();
  const ids = await sql<{
    id: string;
  }>`insert into compute_job (id, project, environment, cluster, native_id, spec, state, reason,
      submitted_by, subject, submitted_at, updated_at)
    select 'job_' || n, project, environment, cluster, 'm' || n, spec, state, reason, submitted_by, subject, submitted_at, updated_at
    from compute_job, generate_series(2, ${count}::int) n where id = ${first.id} returning id`.execute(deps.db);
  const native = (await fake.list())[0];
  assert.ok(native !== undefined);
  for (const { id } of ids.rows) {
    await fake.submit({ ...native, key: id, script: '', arguments: [], environment: {}, claims: [] });
    fake.set(id, { nativeId: `m${id.slice(4)}` });
  }
  fake.lists = 0;
  return first;
}

test('with 5,000 open jobs a look reads those that changed; every 30 s all are compared', async (t) => {
  const own = await countingRoom(t);
  const { deps, fake, clock, now, rows } = own;
  fake.incremental = true;
  const first = await manyOpen(own, 5000);
  const follower = followJobs(deps, 'local');
  await follower.look();
  assert.ok(rows() >= 5000, 'the first look compares all there are');
  await follower.look();
  assert.deepEqual([rows(), fake.lists], [0, 0], 'nothing has changed: nothing is read');
  fake.set(first.id, { state: 'running' });
  await follower.look();
  assert.ok(rows() < 10);
  assert.equal((await now(first)).state, 'running');
  rows();
  clock.advance(30_000);
  await follower.look();
  assert.ok(rows() >= 5000);
  assert.equal(fake.lists, 1);
  await follower.stop();
});

test('an answer that holds only changes says of no job that it is lost', async (t) => {
  const { deps, submit, fake, now, clock } = await room(t);
  fake.incremental = true;
  const job = await submit();
  const follower = followJobs(deps, 'local');
  await follower.look();
  fake.forget(job.id);
  clock.advance(29_999);
  await follower.look();
  assert.equal((await now(job)).state, 'queued');
  fake.failWith = new SchedulerError('unavailable', 'away');
  clock.advance(60_000);
  await assert.rejects(follower.look());
  assert.equal((await now(job)).state, 'queued', 'who cannot be asked has lost nothing');
  fake.failWith = undefined;
  await follower.look();
  assert.equal((await now(job)).state, 'lost');
  await follower.stop();
});

test('what the scheduler itself calls lost is lost, with its reason', async (t) => {
  const { submit, fake, look, now, told } = await room(t);
  const job = await submit();
  fake.set(job.id, { state: 'lost', reason: 'Slurm forgot it, and its folder proves nothing' });
  await look();
  assert.deepEqual(
    [(await now(job)).state, (await now(job)).reason],
    ['lost', 'Slurm forgot it, and its folder proves nothing'],
  );
  assert.deepEqual(await told(job), [{ state: 'lost', ended: true }]);
});

test('a change that could not be copied is copied by the next look, though it is said only once', async (t) => {
  const { deps, submit, fake, now, clock } = await room(t);
  fake.incremental = true;
  const job = await submit();
  const follower = followJobs(deps, 'local');
  await follower.look();
  clock.advance(10);
  fake.set(job.id, { state: 'running' });
  const { changes } = fake;
  fake.changes = async (cursor) => {
    fake.changes = changes;
    const { jobs, ...rest } = await changes(cursor);
    const unwritable = { attempt: 1, startedAtMs: Number.NaN, placement: [], stdoutPath: '', stderrPath: '' };
    return { ...rest, jobs: jobs.map((j) => ({ ...j, attempts: [unwritable] })) };
  };
  await follower.look();
  assert.equal((await now(job)).state, 'queued');
  await follower.look();
  assert.equal((await now(job)).state, 'running');
  await follower.stop();
});

test('a job held, suspended or both is open: it is followed to its end', async (t) => {
  const { submit, fake, look, now, told } = await room(t);
  const job = await submit({ hold: true });
  assert.equal(job.state, 'held');
  for (const state of ['queued', 'running', 'suspended', 'running', 'completed'] as const) {
    fake.set(job.id, { state });
    await look();
    assert.equal((await now(job)).state, state);
  }
  assert.equal((await told(job)).at(-1)?.ended, true);
});

test('a cancellation under way is not ordered anew at each look, but again when nothing comes of it', async (t) => {
  const { deps, submit, fake, clock } = await room(t);
  fake.incremental = true;
  const job = await submit();
  const follower = followJobs(deps, 'local');
  await follower.look();
  const { cancel } = fake;
  let orders = 0;
  fake.cancel = async (id) => {
    orders += 1;
    return fake.show(id);
  };
  await cancelJob(deps, job);
  for (let i = 0; i < 5; i++) await follower.look();
  const soon = orders;
  clock.advance(10_000);
  await follower.look();
  assert.ok(soon <= 2 && orders === soon + 1, `${soon}, then ${orders}`);
  fake.cancel = cancel;
  await follower.stop();
});

test('an array of a thousand tasks is copied task by task, and read back in order', async (t) => {
  const { submit, fake, look, now } = await room(t);
  const job = await submit({ array: { first: 0, last: 1499, step: 1 } });
  const of = (task: number) => ({
    task,
    attempt: 1,
    startedAtMs: 1,
    placement: [{ node: 'n01', slots: [] }],
    stdoutPath: `/o${task}`,
    stderrPath: '/e',
  });
  const tasks = { total: 1500, waiting: 0, running: 1500, completed: 0, failed: 0 };
  fake.set(job.id, { state: 'running', tasks, attempts: Array.from({ length: 1500 }, (_, n) => of(n)) });
  await look();
  const known = await now(job);
  assert.deepEqual(
    known.attempts.map((a) => a.task),
    Array.from({ length: 1500 }, (_, n) => n),
  );
  assert.deepEqual(known.facts.tasks, tasks);
});

test('an answer that was on its way is not written over a newer one, whoever is slower', async (t) => {
  const { deps, submit, fake, now, look } = await room(t);
  fake.incremental = true;
  // The follower hears of the job, and of its start, before whoever submits it has written what the scheduler answered.
  const { submit: hand } = fake;
  fake.submit = async (spec) => {
    const first = await hand(spec);
    fake.set(spec.key, { state: 'running' });
    await look();
    return first;
  };
  const job = await submit();
  fake.submit = hand;
  assert.deepEqual([job.state, (await now(job)).state], ['running', 'running']);
  // A hold whose answer comes after the follower has heard what came of it.
  const hold = fake.control?.hold;
  assert.ok(fake.control !== undefined && hold !== undefined);
  const control = {
    ...fake.control,
    hold: async (...of: Parameters<typeof hold>) => {
      const held = await hold(...of);
      fake.set(job.id, { state: 'suspended' });
      await look();
      return held;
    },
  };
  const schedulers = new Map([['local', { ...fake, control }]]);
  const after = await holdJob({ ...deps, schedulers }, { person: 'ada', requestId: 'req_1' }, await now(job));
  assert.deepEqual([after.state, (await now(job)).state], ['suspended', 'suspended']);
  // The follower's own question was asked before the row was written.
  const follower = followJobs(deps, 'local');
  await follower.look();
  const { changes } = fake;
  fake.set(job.id, { state: 'running' });
  fake.changes = async (cursor) => {
    const said = await changes(cursor);
    fake.changes = changes;
    await holdJob(deps, { person: 'ada', requestId: 'req_2' }, await now(job));
    return said;
  };
  await follower.look();
  assert.equal((await now(job)).state, 'held');
  await follower.stop();
});
