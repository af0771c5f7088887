import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../problems.ts';
import { type Attempt, type Job, NO_FACTS } from './job.ts';
import { readRange } from './local/read-range.ts';
import { type OutputDeps, type OutputPart, readOutput as readThrough } from './read-output.ts';
import { type Scheduler, SchedulerError } from './scheduler.ts';

const root = mkdtempSync(join(tmpdir(), 'beamway-output-'));
after(() => rmSync(root, { recursive: true }));
const path = join(root, 'stdout');

const attempt = (change: Partial<Attempt> = {}): Attempt => ({
  task: null,
  attempt: 1,
  startedAt: new Date(0),
  endedAt: null,
  placement: [],
  outcome: null,
  exitCode: null,
  signal: null,
  stdoutPath: path,
  stderrPath: join(root, 'stderr'),
  ...change,
});
const jobWith = (attempts: readonly Attempt[], state: Job['state'] = 'running'): Job => ({
  id: 'job_1',
  project: 'demo',
  environment: 'ace',
  cluster: 'local',
  nativeId: '1',
  spec: {
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
  },
  state,
  reason: '',
  facts: NO_FACTS,
  submittedBy: 'tok_1',
  subject: 'ada',
  requestId: 'req_1',
  cancelRequestedAt: null,
  submittedAt: new Date(0),
  updatedAt: new Date(0),
  attempts,
});
/** A scheduler that does nothing but read: the file of the attempt that the job names by its number. */
function depsFor(job: Job): OutputDeps {
  const output: Scheduler['output'] = async (nativeId, range) => {
    const found = job.attempts.find((a) => a.attempt === range.attempt && a.task === (range.task ?? null));
    if (found === undefined || nativeId !== job.nativeId) throw new SchedulerError('not-found', 'no such attempt');
    return readRange(range.file === 'stdout' ? found.stdoutPath : found.stderrPath, range);
  };
  return { schedulers: new Map([[job.cluster, { output } as Scheduler]]) };
}
const readOutput = (job: Job, query: Parameters<typeof readThrough>[2]): Promise<OutputPart> =>
  readThrough(depsFor(job), job, query);
const running = jobWith([attempt()]);
const ended = jobWith([attempt({ endedAt: new Date(1) })], 'completed');
const part = (job: Job, offset: number, limit: number): Promise<OutputPart> =>
  readOutput(job, { file: 'stdout', offset, limit });

/** Reads on until nothing more comes; fails if a turn that could move on does not. */
async function readAll(job: Job, limit: number): Promise<string> {
  let text = '';
  for (let offset = 0, turns = 0; ; turns++) {
    assert.ok(turns < 1000, 'reading comes to an end');
    const next = await part(job, offset, limit);
    text += next.text;
    if (next.nextOffset === offset) return text;
    offset = next.nextOffset;
  }
}

test('read in parts of any size, before or after the end, the text is the text', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'é', '—', '𝄞', '\n'), maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(text, fc.integer({ min: 1, max: 9 }), fc.boolean(), async (written, limit, over) => {
      writeFileSync(path, written);
      assert.equal(await readAll(over ? ended : running, limit), written);
    }),
  );
});

test('a character cut by the writer waits for its rest, and is shown as it is once no rest can come', async () => {
  writeFileSync(path, Buffer.from([0x61, 0xe2, 0x80]));
  assert.deepEqual(await part(running, 0, 100), { task: null, attempt: 1, text: 'a', nextOffset: 1, ended: false });
  writeFileSync(path, 'a—b');
  assert.equal((await part(running, 1, 100)).text, '—b');
  writeFileSync(path, Buffer.from([0x61, 0x62, 0x63, 0xe2, 0x80]));
  assert.equal(await readAll(ended, 100), 'abc\ufffd');
});

test('bytes that are no text do not hold up what follows them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 1, max: 9 }), async (bytes, limit) => {
      writeFileSync(path, Buffer.concat([bytes, Buffer.from('end')]));
      assert.match(await readAll(ended, limit), /end$/);
    }),
  );
});

test('output not written yet is empty, an attempt that never was is not found', async () => {
  assert.deepEqual(await readOutput(running, { file: 'stderr', offset: 7, limit: 10 }), {
    task: null,
    attempt: 1,
    text: '',
    nextOffset: 7,
    ended: false,
  });
  const none = jobWith([], 'cancelled');
  assert.deepEqual(await part(none, 0, 10), { task: null, attempt: 1, text: '', nextOffset: 0, ended: true });
  await assert.rejects(
    readOutput(running, { file: 'stdout', attempt: 2, offset: 0, limit: 1 }),
    (thrown: unknown) => thrown instanceof Problem && thrown.code === 'not-found',
  );
});

test('without a number the newest attempt is read, with one that one', async () => {
  writeFileSync(path, 'first');
  writeFileSync(join(root, 'second'), 'second');
  const job = jobWith([attempt({ endedAt: new Date(1) }), attempt({ attempt: 2, stdoutPath: join(root, 'second') })]);
  assert.equal((await part(job, 0, 100)).text, 'second');
  assert.equal((await readOutput(job, { file: 'stdout', attempt: 1, offset: 0, limit: 100 })).text, 'first');
});

test('each task of an array has its own output, and one must be named', async () => {
  writeFileSync(path, 'task 3');
  const array = { first: 0, last: 9, step: 1 };
  const base = jobWith([attempt({ task: 3 })]);
  const job: Job = { ...base, spec: { ...base.spec, array } };
  const query = { file: 'stdout', offset: 0, limit: 100 } as const;
  assert.equal((await readOutput(job, { ...query, task: 3 })).text, 'task 3');
  assert.deepEqual(await readOutput(job, { ...query, task: 4 }), {
    task: 4,
    attempt: 1,
    text: '',
    nextOffset: 0,
    ended: false,
  });
  await assert.rejects(
    readOutput(job, query),
    (thrown: unknown) => thrown instanceof Problem && thrown.code === 'invalid-request',
  );
});

test('output that goes to a path of its own, or that the scheduler keeps no more, is said so', async () => {
  const spec = { ...running.spec, stdoutPath: '/work/out' };
  const problem = (code: string) => (thrown: unknown) => thrown instanceof Problem && thrown.code === code;
  await assert.rejects(part({ ...running, spec }, 0, 1), problem('not-supported-here'));
  const output = async (): Promise<never> => {
    throw new SchedulerError('not-found', 'purged');
  };
  const deps = { schedulers: new Map([['local', { output } as unknown as Scheduler]]) };
  await assert.rejects(readThrough(deps, running, { file: 'stdout', offset: 0, limit: 1 }), problem('not-found'));
});

test('where a number means another job too, the job is asked for by its key', async () => {
  const asked: string[] = [];
  const output = async (id: string) => {
    asked.push(id);
    if (id !== 'job_1') throw new SchedulerError('not-found', 'given to two jobs');
    return { bytes: Buffer.from('mine'), size: 4 };
  };
  const deps = { schedulers: new Map([['local', { output } as unknown as Scheduler]]) };
  assert.equal((await readThrough(deps, running, { file: 'stdout', offset: 0, limit: 10 })).text, 'mine');
  assert.deepEqual(asked, ['1', 'job_1']);
});
