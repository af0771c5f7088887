/** The Scheduler port over a link that a script answers: what is asked, what comes of answers and failures, and how the copy of the records is kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACTS, type ActName, type JobRecord, SlurmFailure } from '../../slurm/contract/index.ts';
import { SCHEDULER_FEATURES, SchedulerError, type SchedulerJobSpec } from '../scheduler.ts';
import type { AgentLink } from './agent-links.ts';
import { openSlurmScheduler } from './open-slurm-scheduler.ts';

const RECORD: JobRecord = {
  version: 1,
  key: 'job_a',
  nativeId: '12',
  name: 'sim',
  project: 'demo',
  user: 'ada',
  unixUser: 'u-demo',
  account: 'demo',
  tier: 'batch',
  partition: 'main',
  state: 'running',
  reasonCode: '',
  reason: '',
  nodes: 2,
  slotsPerNode: 4,
  timeLimitSeconds: 60,
  requeue: true,
  submittedAtMs: 5,
  attempts: [
    {
      attempt: 1,
      submission: 1,
      nativeId: '12',
      startedAtMs: 6,
      nodes: ['c1', 'c2'],
      stdoutPath: '/j/out',
      stderrPath: '/j/err',
    },
  ],
};
const SPEC: SchedulerJobSpec = {
  key: 'job_a',
  name: 'sim',
  project: 'demo',
  user: 'ada',
  tier: 'batch',
  script: '#!/bin/sh\n',
  arguments: ['x'],
  environment: { A: '1' },
  nodes: 2,
  slotsPerNode: 4,
  timeLimitSeconds: 60,
  requeue: true,
  notBefore: 99,
  claims: [{ stream: 'frames', url: 'http://dsn:1', secret: 'a-secret-of-the-test' }],
  requestId: 'req_1',
  array: { first: 0, last: 3, step: 1 },
  dependsOn: [{ key: 'job_z', when: 'succeeded' }],
};

type Script = Partial<Record<ActName, (input: never) => unknown>>;

/** Inputs and outputs pass the contract's own schemas, as on the real link. */
function scripted(script: Script) {
  const asked: { readonly act: ActName; readonly input: Record<string, unknown> }[] = [];
  const listeners = new Set<() => void>();
  const link: AgentLink = {
    connected: true,
    async ask(act, input) {
      const read = ACTS[act].input.parse(input);
      asked.push({ act, input: read as Record<string, unknown> });
      const answer = script[act];
      if (answer === undefined) throw new SlurmFailure({ kind: 'unavailable', message: `the script has no ${act}` });
      return ACTS[act].output.parse(answer(read as never)) as never;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  return { asked, listeners, scheduler: openSlurmScheduler(link) };
}

const changes = (jobs: readonly JobRecord[], over: object = {}) => ({
  changes: () => ({
    instance: 'one',
    version: Math.max(0, ...jobs.map((j) => j.version)),
    complete: true,
    jobs,
    ...over,
  }),
});

test('a submission goes out whole, with who asks, and comes back as a job', async () => {
  const { asked, scheduler } = scripted({ submit: () => RECORD });
  const job = await scheduler.submit(SPEC);
  const { user: _, project: __, notBefore, requestId, ...rest } = SPEC;
  assert.deepEqual(asked[0]?.input, {
    ...rest,
    asker: { project: 'demo', person: 'ada', requestId: 'req_1' },
    notBeforeMs: 99,
    hold: false,
    exclusive: false,
    resubmitIfLost: false,
  });
  assert.deepEqual([notBefore, requestId], [99, 'req_1']);
  assert.deepEqual(job.attempts, [
    {
      attempt: 1,
      startedAtMs: 6,
      placement: [
        { node: 'c1', slots: [] },
        { node: 'c2', slots: [] },
      ],
      stdoutPath: '/j/out',
      stderrPath: '/j/err',
    },
  ]);
  assert.deepEqual(
    [job.nativeId, job.unixUser, 'reasonCode' in job, 'endedAtMs' in job],
    ['12', 'u-demo', false, false],
  );
  assert.deepEqual([...scheduler.features], [...SCHEDULER_FEATURES]);
});

test('each failure of the agent is the port’s of the same kind, and the limit keeps its name', async () => {
  for (const kind of [
    'unavailable',
    'invalid',
    'unknown-tier',
    'too-large',
    'limit',
    'not-found',
    'refused',
  ] as const) {
    const { scheduler } = scripted({
      submit: () => {
        throw new SlurmFailure({ kind, message: 'no', ...(kind === 'limit' ? { limit: 'QOSGrpNodeLimit' } : {}) });
      },
    });
    await assert.rejects(scheduler.submit(SPEC), (cause) => {
      assert.ok(cause instanceof SchedulerError);
      assert.deepEqual([cause.kind, cause.limit], [kind, kind === 'limit' ? 'QOSGrpNodeLimit' : undefined]);
      return true;
    });
  }
});

test('a job is found by native id or key, and every act about it names its key and who asks', async () => {
  const { asked, scheduler } = scripted({
    ...changes([RECORD]),
    show: () => RECORD,
    cancel: () => RECORD,
    hold: () => RECORD,
    update: () => RECORD,
    terminal: () => ({}),
    output: () => ({ bytes: Buffer.from('hello').toString('base64'), size: 9 }),
  });
  const by = { person: 'bob', requestId: 'req_2' };
  await scheduler.show('12');
  await scheduler.show('job_a');
  await scheduler.control?.hold('12', by);
  await scheduler.control?.signal('12', 'USR1', by);
  await scheduler.control?.update('12', { tier: 'urgent', notBefore: 7 }, by);
  await scheduler.openTerminal?.('12', { ticket: 't', columns: 80, rows: 24, command: ['sh'] }, by);
  const { bytes, size } = await scheduler.output('12', { attempt: 1, file: 'stdout', offset: 4, limit: 5 });
  assert.deepEqual([bytes.toString(), size], ['hello', 9]);
  const acts = asked.filter((a) => a.act !== 'changes');
  assert.ok(acts.every((a) => a.input['key'] === 'job_a'));
  const asker = { project: 'demo', ...by };
  assert.deepEqual(
    acts.slice(2, 6).map(({ act, input }) => [act, input]),
    [
      ['hold', { key: 'job_a', asker }],
      ['cancel', { key: 'job_a', asker, signal: 'USR1' }],
      ['update', { key: 'job_a', asker, tier: 'urgent', notBeforeMs: 7 }],
      ['terminal', { key: 'job_a', asker, ticket: 't', columns: 80, rows: 24, command: ['sh'] }],
    ],
  );
  await assert.rejects(scheduler.show('13'), (c) => c instanceof SchedulerError && c.kind === 'not-found');
});

test('an ended job is not asked to end', async () => {
  const { asked, scheduler } = scripted(changes([{ ...RECORD, state: 'completed', endedAtMs: 9 }]));
  assert.equal((await scheduler.cancel('12')).state, 'completed');
  assert.deepEqual(
    asked.map((a) => a.act),
    ['changes'],
  );
});

test('a number that Slurm gave to jobs of two projects reaches neither; their keys do', async () => {
  const old: JobRecord = { ...RECORD, key: 'job_old', project: 'beamtime', state: 'lost', submittedAtMs: 1 };
  const { scheduler } = scripted({ ...changes([old, { ...RECORD, version: 2 }]), show: () => RECORD });
  await assert.rejects(scheduler.show('12'), (c) => c instanceof SchedulerError && /2 jobs/.test(c.message));
  assert.equal((await scheduler.show('job_a')).key, 'job_a');
  const own = scripted({ ...changes([{ ...old, project: 'demo' }, RECORD]), show: () => RECORD });
  assert.equal((await own.scheduler.show('12')).key, 'job_a');
});

test('the copy follows the changes: a cursor goes on, a new instance replaces everything, an older word changes nothing', async () => {
  let records: readonly JobRecord[] = [
    RECORD,
    { ...RECORD, key: 'job_b', nativeId: '13', version: 2, submittedAtMs: 4 },
  ];
  let instance = 'one';
  const { asked, scheduler } = scripted({
    changes(input: { instance?: string; after: number }) {
      const complete = input.instance !== instance;
      const version = Math.max(...records.map((r) => r.version));
      return { instance, version, complete, jobs: records.filter((r) => complete || r.version > input.after) };
    },
    show: () => ({ ...RECORD, version: 0, reason: 'an old word' }),
  });
  const first = await scheduler.changes();
  assert.deepEqual([first.complete, first.cursor, first.jobs.length], [true, 'one:2', 2]);
  assert.deepEqual((await scheduler.changes(first.cursor)).jobs, []);
  await scheduler.show('12');
  assert.deepEqual(
    (await scheduler.list({ states: ['running'] })).map((j) => [j.key, j.reason]),
    [
      ['job_b', ''],
      ['job_a', ''],
    ],
  );
  assert.deepEqual(asked.at(-1)?.input, { instance: 'one', after: 2 });
  assert.deepEqual(await scheduler.list({ project: 'beamtime' }), []);
  records = [{ ...RECORD, key: 'job_c', nativeId: '1' }];
  instance = 'two';
  const anew = await scheduler.changes(first.cursor);
  assert.deepEqual([anew.complete, anew.cursor, anew.jobs.map((j) => j.key)], [true, 'two:1', ['job_c']]);
  assert.equal((await scheduler.changes('nonsense')).complete, true);
});

test('however many list at once, one question is under way and one waits', async () => {
  let under = 0;
  let most = 0;
  const { asked, scheduler } = scripted(changes([RECORD]));
  const lists = Array.from({ length: 100 }, async () => {
    under += 1;
    most = Math.max(most, under);
    await scheduler.list();
    under -= 1;
  });
  await Promise.all(lists);
  assert.deepEqual([most, asked.length], [100, 2]);
});

test('facts carry who asks; nodes and tiers are cut to what the port says; watching is the link’s', async () => {
  const node = {
    name: 'c1',
    slots: 4,
    free: 1,
    memoryMiB: 1,
    gres: '',
    partitions: ['main'],
    nativeState: 'MIXED',
    reason: '',
  };
  const tier = { name: 'bw-urgent', priority: 9, preempts: ['bw-batch'], graceSeconds: 0, denyOnLimit: true };
  const { asked, listeners, scheduler } = scripted({
    nodes: () => ({ nodes: [{ ...node, state: 'draining' }] }),
    tiers: () => ({
      tiers: [
        { ...tier, preemptMode: 'cancel' },
        { ...tier, preemptMode: 'cluster' },
      ],
    }),
    history: () => ({ rows: [], next: null }),
  });
  assert.deepEqual(await scheduler.nodes(), [{ name: 'c1', slots: 4, free: 1, state: 'draining' }]);
  assert.deepEqual(
    (await scheduler.tiers()).map((t) => t.preemptMode),
    ['cancel', 'requeue'],
  );
  const page = { ownProject: true, sinceMs: 1, untilMs: 2, limit: 3 };
  assert.deepEqual(await scheduler.facts?.history({ project: 'demo', ...page }), { rows: [], next: null });
  const { asker, ...rest } = (asked.at(-1)?.input ?? {}) as { asker: { project: string } };
  assert.deepEqual([asker.project, rest], ['demo', page]);
  const stop = scheduler.watch(() => undefined);
  assert.equal(listeners.size, 1);
  stop();
  assert.equal(listeners.size, 0);
});
