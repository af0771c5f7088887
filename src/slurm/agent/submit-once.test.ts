// One known job per key, its effects once, whoever dies when; nothing acknowledged is silently lost. Against a scripted Slurm; the real one stands in the live tests.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../clock.ts';
import type { MappedUser } from '../batch-order.ts';
import { type JobRecord, SlurmFailure, type SubmitOrder, submitSchema } from '../contract/index.ts';
import { type AgentParts, openAgent, type SlurmAgent } from './open-agent.ts';
import { type ScriptedSlurm, scriptedSlurm } from './scripted-slurm.fixture.ts';
import { agentSettingsSchema } from './settings.ts';

const place = mkdtempSync(join(tmpdir(), 'beamway-agent-'));
after(() => rmSync(place, { recursive: true, force: true }));
let places = 0;
const me = userInfo();
const user: MappedUser = {
  name: 'ada',
  uid: me.uid,
  gid: me.gid,
  group: { name: 'ada', gid: me.gid },
  account: 'demo',
  roots: [place],
};
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

interface World {
  readonly slurm: ScriptedSlurm;
  readonly root: string;
  agent: SlurmAgent;
  /** The agent's process dies, and another one opens the same folders. */
  reopen(): Promise<void>;
}

async function world(): Promise<World> {
  const root = join(place, `jobs-${++places}`);
  mkdirSync(root);
  let ahead = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + ahead };
  const slurm = scriptedSlurm(user, clock.now);
  const no = async (): Promise<never> => {
    throw new SlurmFailure({ kind: 'invalid', message: 'not in this test' });
  };
  const parts: AgentParts = {
    settings: agentSettingsSchema.parse({
      cluster: 'lab',
      linkFile: '/none',
      jobsRoot: root,
      mappingFile: '/none',
      slurm: { conf: '/none' },
      pollMs: 100,
      lostAfterMs: 1000,
    }),
    clock,
    log: quiet,
    read: slurm,
    write: slurm,
    mapUser: async () => user,
    checkPath: async (_field, path) => path,
    reason: (row) => row.reasonCode,
    policy: {
      tiers: no,
      setTier: no,
      removeTier: no,
      access: no,
      grant: no,
      withdraw: no,
      reserve: no,
      endReservation: no,
    },
    terminal: no,
  };
  const open = await openAgent(parts);
  const it: World = {
    slurm,
    root,
    agent: open,
    async reopen() {
      await it.agent.stop();
      // A job is only missed when it was submitted a while ago.
      ahead += 20_000;
      it.agent = await openAgent(parts);
    },
  };
  after(() => it.agent.stop());
  return it;
}

const order = (key: string, over: Partial<SubmitOrder> = {}): SubmitOrder =>
  submitSchema.parse({
    key,
    asker: { project: 'demo', person: 'ada', requestId: 'req_1' },
    name: 'job',
    tier: 'batch',
    script: '#!/bin/sh\necho ran >> ran\n',
    arguments: [],
    environment: {},
    nodes: 1,
    slotsPerNode: 1,
    timeLimitSeconds: 600,
    requeue: true,
    claims: [],
    ...over,
  });

const submit = (w: World, o: SubmitOrder) => w.agent.serve('submit', o) as Promise<JobRecord>;
const show = (w: World, key: string) =>
  w.agent.serve('show', { key, asker: { project: 'demo', person: 'ada', requestId: 'req_2' } }) as Promise<JobRecord>;
const refused = (kind: string) => (error: unknown) => error instanceof SlurmFailure && error.kind === kind;

async function until(w: World, key: string, holds: (record: JobRecord) => boolean): Promise<JobRecord> {
  const end = performance.now() + 20_000;
  for (;;) {
    const { jobs } = (await w.agent.serve('changes', {})) as { jobs: JobRecord[] };
    const record = jobs.find((j) => j.key === key);
    if (record !== undefined && holds(record)) return record;
    assert.ok(performance.now() < end, JSON.stringify(record));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What Slurm would do with every job of its queue: start the wrapper it was given. */
async function runAll(w: World): Promise<void> {
  for (const sent of w.slurm.submitted)
    await new Promise((resolve) =>
      spawn('/bin/sh', ['-s'], {
        env: { PATH: '/usr/bin:/bin', ...sent.environment },
        stdio: ['pipe', 'ignore', 'ignore'],
      })
        .once('close', resolve)
        .stdin?.end(sent.script),
    );
}
const effects = (w: World, key: string): number => {
  try {
    return readFileSync(join(w.root, 'demo', key, 'work', 'ran'), 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
};

test('the same key is the same job, also when submitted many times at once', async () => {
  const w = await world();
  const records = await Promise.all(Array.from({ length: 10 }, () => submit(w, order('a'))));
  assert.deepEqual([new Set(records.map((r) => r.nativeId)).size, w.slurm.submitted.length], [1, 1]);
  assert.equal((await submit(w, order('a'))).nativeId, records[0]?.nativeId);
});

test('an answer that was lost: the job is found by its comment, not submitted again', async () => {
  const w = await world();
  w.slurm.onSubmit = () => 'arrives-unanswered';
  await assert.rejects(submit(w, order('a')), refused('unavailable'));
  await w.reopen();
  assert.equal((await submit(w, order('a'))).nativeId, '100');
  assert.equal(w.slurm.submitted.length, 1);
});

test('a submit that never arrived is sent again; should the earlier one turn up late, it does nothing and is cancelled', async () => {
  const w = await world();
  w.slurm.onSubmit = () => 'arrives-unanswered';
  await assert.rejects(submit(w, order('a')), refused('unavailable'));
  const late = w.slurm.rows[0];
  assert.ok(late !== undefined);
  w.slurm.forget(late.jobId);
  w.slurm.onSubmit = () => 'arrives';
  const record = await submit(w, order('a'));
  w.slurm.rows.unshift(late);
  await runAll(w);
  assert.equal(effects(w, 'a'), 1);
  while (!w.slurm.cancelled.includes(late.jobId)) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(w.slurm.cancelled.includes(record.nativeId), false);
});

test('a comment like ours on a job of another user is not taken for ours', async () => {
  const w = await world();
  w.slurm.onSubmit = () => 'arrives-unanswered';
  await assert.rejects(submit(w, order('a')), refused('unavailable'));
  w.slurm.set('100', { user: 'mallory' });
  w.slurm.onSubmit = () => 'arrives';
  assert.equal((await submit(w, order('a'))).nativeId, '101');
  assert.equal(w.slurm.cancelled.length, 0);
});

test('what Slurm refuses leaves nothing, and may be submitted rightly under the same key', async () => {
  const w = await world();
  w.slurm.onSubmit = () => 'refused';
  await assert.rejects(submit(w, order('a', { tier: 'none' })), refused('unknown-tier'));
  assert.deepEqual(readdirSync(join(w.root, 'demo')), []);
  w.slurm.onSubmit = () => 'arrives';
  await submit(w, order('a'));
  await assert.rejects(submit(w, order('b', { script: 'echo' })), refused('invalid'));
  await assert.rejects(submit(w, order('c', { script: '#!/bin/sh\r\n' })), refused('invalid'));
  await assert.rejects(w.agent.serve('submit', { ...order('x'), key: '../x' }), refused('invalid'));
  await assert.rejects(w.agent.serve('shell', {}), refused('invalid'));
});

test('a job that Slurm lost, and that left no trace, is reported lost; or sent again, fenced, where it asked for that', async () => {
  const w = await world();
  await submit(w, order('a'));
  await submit(w, order('b', { resubmitIfLost: true }));
  w.slurm.forget('100');
  w.slurm.forget('101');
  const lost = await until(w, 'a', (r) => r.state === 'lost');
  assert.match(lost.reason, /100/);
  await until(w, 'b', (r) => r.nativeId === '102');
  await runAll(w);
  assert.deepEqual([effects(w, 'b'), w.slurm.submitted.length], [1, 3]);
});

test('nothing is lost while Slurm is away', async () => {
  const w = await world();
  await submit(w, order('a'));
  w.slurm.down = true;
  const looks = w.slurm.looks;
  while (w.slurm.looks < looks + 2) await new Promise((resolve) => setTimeout(resolve, 50));
  w.slurm.down = false;
  assert.equal((await until(w, 'a', (r) => r.state === 'queued')).nativeId, '100');
});

test('a job that ended and was forgotten is known by its own record; one that runs on although forgotten by its lock', async () => {
  const w = await world();
  await submit(w, order('a', { script: '#!/bin/sh\nexit 4\n' }));
  await runAll(w);
  w.slurm.forget('100');
  const ended = await until(w, 'a', (r) => r.state === 'failed');
  assert.deepEqual([ended.attempts[0]?.exitCode, ended.attempts[0]?.outcome], [4, 'failed']);

  await submit(w, order('b', { script: '#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done\n' }));
  const done = runAll(w);
  const started = join(w.root, 'demo', 'b', 'attempts', '1', 'started');
  const end = performance.now() + 10_000;
  for (let seen = false; !seen; ) {
    try {
      seen = readFileSync(started, 'utf8') !== '';
    } catch {
      assert.ok(performance.now() < end);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  w.slurm.forget('101');
  assert.match((await until(w, 'b', (r) => r.state === 'running')).reason, /forgotten/);
  writeFileSync(join(w.root, 'demo', 'b', 'work', 'go'), '');
  await done;
  assert.equal((await until(w, 'b', (r) => r.state === 'completed')).attempts.length, 1);
});

test('a restart knows every job again, and a half-made folder is removed', async () => {
  const w = await world();
  for (const key of ['a', 'b', 'c']) await submit(w, order(key));
  mkdirSync(join(w.root, 'demo', '.new-0123'));
  await w.reopen();
  const { jobs, complete } = (await w.agent.serve('changes', {})) as { jobs: JobRecord[]; complete: boolean };
  assert.deepEqual([complete, jobs.map((j) => j.nativeId)], [true, ['100', '101', '102']]);
  assert.deepEqual(readdirSync(join(w.root, 'demo')).sort(), ['a', 'b', 'c']);
});

test('changes tell only what changed, and everything to who comes from another life', async () => {
  const w = await world();
  await submit(w, order('a'));
  await submit(w, order('b'));
  for (const key of ['a', 'b']) await until(w, key, (r) => r.reasonCode === 'Priority');
  const first = (await w.agent.serve('changes', {})) as { instance: string; version: number; jobs: JobRecord[] };
  w.slurm.set('101', { state: 'RUNNING', startMs: systemClock.now() });
  await until(w, 'b', (r) => r.state === 'running');
  const next = (await w.agent.serve('changes', { instance: first.instance, after: first.version })) as {
    complete: boolean;
    jobs: JobRecord[];
  };
  assert.deepEqual([next.complete, next.jobs.map((j) => j.key)], [false, ['b']]);
});

test('no change is missed by who asks while it is being written', async () => {
  const w = await world();
  const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
  const heard = new Map<string, string>();
  let cursor: { instance?: string; after: number } = { after: 0 };
  const ask = async (): Promise<void> => {
    const said = (await w.agent.serve('changes', cursor)) as { instance: string; version: number; jobs: JobRecord[] };
    cursor = { instance: said.instance, after: said.version };
    for (const job of said.jobs) heard.set(job.key, job.state);
  };
  await Promise.all(keys.map((key) => submit(w, order(key))));
  await ask();
  w.slurm.rows = w.slurm.rows.map((r) => ({ ...r, state: 'CANCELLED', endMs: systemClock.now() }));
  const end = performance.now() + 20_000;
  // Asked without a pause: each write of a record is overtaken by some question.
  while ([...heard.values()].some((state) => state !== 'cancelled')) {
    await ask();
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(performance.now() < end, JSON.stringify([...heard]));
  }
});

test('an ended job is left as it is; a cancel is carried out also when Slurm never answered the submit', async () => {
  const w = await world();
  w.slurm.onSubmit = () => 'arrives-unanswered';
  await assert.rejects(submit(w, order('a')), refused('unavailable'));
  const cancelled = (await w.agent.serve('cancel', {
    key: 'a',
    asker: { project: 'demo', person: 'ada', requestId: 'r' },
  })) as JobRecord;
  assert.equal(w.slurm.cancelled[0], '100');
  assert.equal((await until(w, 'a', (r) => r.state === 'cancelled')).key, cancelled.key);
  assert.equal((await show(w, 'a')).state, 'cancelled');
});

test('a job that Slurm could not start and holds is released, without anybody watching', async () => {
  const w = await world();
  const { nativeId } = await submit(w, order('launch'));
  w.slurm.set(nativeId, { reasonCode: 'launch failed requeued held', restarts: 1, priority: 0 });
  await until(w, 'launch', (r) => r.state === 'queued' && r.reasonCode === 'Priority');
});
