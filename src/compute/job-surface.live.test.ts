/** What a job may ask for beyond size and time: handed to the scheduler as it is meant, refused where the cluster has no such thing; dependencies; arrays. The scheduler is a fake. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../identity/index.ts';
import { type JobWish, jobsPage, type Scheduler, SchedulerError, submitJob } from './index.ts';
import { caller, problem, room, SPEC, target } from './jobs.fixture.ts';

const EVERYTHING: Partial<JobWish> = {
  workDir: '/work',
  stdoutPath: '/work/out',
  stderrPath: '/work/err',
  notBefore: '2026-01-02T00:00:00Z',
  hold: true,
  partition: 'gpu',
  reservation: 'beamtime',
  gres: 'gpu:2',
  constraint: 'a100',
  exclusive: true,
  container: '/images/a.sif',
  memoryMiBPerNode: 2048,
  array: { first: 0, last: 8, step: 2, atOnce: 3 },
  resubmitIfLost: true,
};

test('everything that is asked for reaches the scheduler, and nothing else', async (t) => {
  const { submit, fake, now } = await room(t);
  const plain = await submit();
  const job = await submit({ ...EVERYTHING, dependsOn: [{ job: plain.id, when: 'succeeded' }] });
  const { notBefore: _, ...rest } = EVERYTHING;
  const [first, second] = fake.submitted;
  assert.deepEqual(second, {
    ...first,
    ...rest,
    key: job.id,
    notBefore: Date.UTC(2026, 0, 2),
    dependsOn: [{ key: plain.id, when: 'succeeded' }],
  });
  assert.deepEqual((await now(job)).spec, job.spec);
  assert.deepEqual(
    Object.keys(first ?? {}).filter((k) => k in EVERYTHING || k === 'dependsOn'),
    [],
  );
});

test('what the cluster has not is refused by field, before anything is stored', async (t) => {
  const { deps, fake } = await room(t);
  const poor: Scheduler = { ...fake, features: new Set(['hold']) };
  const schedulers = new Map([['local', poor]]);
  const submit = (spec: Partial<JobWish>) =>
    submitJob({ ...deps, schedulers }, caller, {
      target: target(),
      spec: { ...SPEC, ...spec },
      key: null,
      requestId: 'r',
    });
  await assert.rejects(
    submit({ ...EVERYTHING, dependsOn: [{ job: 'job_x', when: 'ended' }] }),
    problem('not-supported-here', [
      '#/array',
      '#/constraint',
      '#/container',
      '#/dependsOn',
      '#/exclusive',
      '#/gres',
      '#/memoryMiBPerNode',
      '#/stdoutPath',
      '#/stderrPath',
      '#/partition',
      '#/reservation',
      '#/resubmitIfLost',
    ]),
  );
  assert.deepEqual(await jobsPage(deps.db, { limit: 1 }), []);
  await submit({ workDir: '/work', hold: true, exclusive: false, resubmitIfLost: false, dependsOn: [] });
});

test('an executable becomes a script once, and one of the two is needed', async (t) => {
  const { submit, fake, now } = await room(t);
  const { script: _, ...bare } = SPEC;
  const job = await submit({ ...bare, script: undefined, executable: "/opt/it's here/run", arguments: ['a b'] });
  assert.equal(fake.submitted[0]?.script, `#!/bin/sh\nexec '/opt/it'\\''s here/run' "$@"\n`);
  assert.deepEqual(fake.submitted[0]?.arguments, ['a b']);
  assert.equal((await now(job)).spec.executable, "/opt/it's here/run");
  await assert.rejects(submit({ script: undefined }), problem('invalid-request', ['#/script']));
  await assert.rejects(submit({ executable: '/bin/true' }), problem('invalid-request', ['#/script']));
});

test('an array attaches no stream, is not endless, and each of its tasks counts as waiting', async (t) => {
  const { submit } = await room(t);
  const beamtime = { project: 'beamtime', environment: 'ace' };
  const array = { first: 1, last: 150, step: 1 };
  const streams = [{ stream: 'str_1', name: 'frames', role: 'consumer' }] as const;
  await assert.rejects(submit({ array, streams }), problem('invalid-request', ['#/array']));
  await assert.rejects(
    submit({ array: { first: 0, last: 10_000, step: 1 } }),
    problem('parameter-out-of-bounds', ['#/array']),
  );
  await submit({ array }, null, beamtime);
  await assert.rejects(submit({ array }, null, beamtime), problem('limit-reached'));
  await submit({ array: { first: 0, last: 49, step: 1 }, hold: true }, null, beamtime);
  await assert.rejects(submit({}, null, beamtime), problem('limit-reached'));
});

test('a job depends on jobs of its own project and cluster that its caller may see', async (t) => {
  const { submit, deps } = await room(t);
  const own = await submit();
  const foreign = await submit({}, null, { project: 'beamtime', environment: 'ace' });
  const elsewhere = await submit({}, null, { project: 'demo', environment: 'odo' });
  for (const job of ['job_none', foreign.id])
    await assert.rejects(
      submit({ dependsOn: [{ job, when: 'ended' }] }),
      problem('invalid-request', ['#/dependsOn/0/job']),
    );
  const token: Caller = {
    kind: 'token',
    id: 'tok_1',
    subject: 'ada',
    project: 'demo',
    enclave: 'open',
    environments: ['ace'],
    scopes: ['job:submit'],
    purpose: '',
    classification: 'public',
  };
  const asToken = (job: string) => {
    const spec = { ...SPEC, dependsOn: [{ job, when: 'ended' as const }] };
    return submitJob(deps, token, { target: target(), spec, key: null, requestId: 'r' });
  };
  await assert.rejects(asToken(elsewhere.id), problem('invalid-request', ['#/dependsOn/0/job']));
  assert.equal((await asToken(own.id)).state, 'queued');
});

test('what a job waits for is not passed on once it has come, and ends the job where it never can', async (t) => {
  const { submit, fake, look, now, clock } = await room(t);
  const [good, bad, later] = [await submit(), await submit(), await submit()];
  fake.set(good.id, { state: 'completed' });
  fake.set(bad.id, { state: 'failed' });
  await look();
  const after = await submit({
    dependsOn: [
      { job: good.id, when: 'succeeded' },
      { job: bad.id, when: 'failed' },
      { job: bad.id, when: 'started' },
      { job: later.id, when: 'ended' },
    ],
  });
  assert.deepEqual(fake.submitted.find((s) => s.key === after.id)?.dependsOn, [{ key: later.id, when: 'ended' }]);
  await assert.rejects(
    submit({ dependsOn: [{ job: bad.id, when: 'succeeded' }] }),
    problem('invalid-request', ['#/dependsOn/0']),
  );
  await assert.rejects(
    submit({ dependsOn: [{ job: good.id, when: 'failed' }] }),
    problem('invalid-request', ['#/dependsOn/0']),
  );

  fake.failWith = new SchedulerError('unavailable', 'away');
  const waiting = await submit({ dependsOn: [{ job: later.id, when: 'succeeded' }] });
  fake.failWith = undefined;
  fake.set(later.id, { state: 'cancelled' });
  await look();
  clock.advance(3000);
  await look();
  const ended = await now(waiting);
  assert.equal(ended.state, 'failed');
  assert.match(ended.reason, /which it depends on, is cancelled/);
  assert.ok(!fake.submitted.some((s) => s.key === waiting.id));
});

test('a job whose dependency has not reached the scheduler waits for that, and follows it', async (t) => {
  const { submit, fake, look, now, clock } = await room(t);
  fake.failWith = new SchedulerError('unavailable', 'away');
  const first = await submit();
  const second = await submit({ dependsOn: [{ job: first.id, when: 'succeeded' }] });
  assert.deepEqual([first.state, second.state], ['accepted', 'accepted']);
  fake.failWith = undefined;
  clock.advance(3000);
  await look();
  await look();
  assert.deepEqual([(await now(first)).state, (await now(second)).state], ['queued', 'queued']);
  assert.deepEqual(fake.submitted.at(-1)?.dependsOn, [{ key: first.id, when: 'succeeded' }]);
});

test('a limit is told by its name, a refused account as such', async (t) => {
  const { submit, fake } = await room(t);
  fake.failWith = new SchedulerError('limit', 'too many nodes', { limit: 'QOSGrpNodeLimit' });
  await assert.rejects(submit(), (thrown: unknown) => {
    problem('limit-reached')(thrown);
    assert.equal((thrown as { readonly extras: { readonly limit?: string } }).extras.limit, 'QOSGrpNodeLimit');
    return true;
  });
  fake.failWith = new SchedulerError('refused', 'no Unix account for ada');
  await assert.rejects(submit(), problem('account-refused'));
});
