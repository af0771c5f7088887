import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../problems.ts';
import type { Attempt, Job } from './job.ts';
import { type OutputPart, readOutput } from './read-output.ts';

const root = mkdtempSync(join(tmpdir(), 'beamway-output-'));
after(() => rmSync(root, { recursive: true }));
const path = join(root, 'stdout');

const attempt = (change: Partial<Attempt> = {}): Attempt => ({
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
  submittedBy: 'tok_1',
  subject: 'ada',
  requestId: 'req_1',
  cancelRequestedAt: null,
  submittedAt: new Date(0),
  updatedAt: new Date(0),
  attempts,
});
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
  assert.deepEqual(await part(running, 0, 100), { attempt: 1, text: 'a', nextOffset: 1, ended: false });
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
    attempt: 1,
    text: '',
    nextOffset: 7,
    ended: false,
  });
  const none = jobWith([], 'cancelled');
  assert.deepEqual(await part(none, 0, 10), { attempt: 1, text: '', nextOffset: 0, ended: true });
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
