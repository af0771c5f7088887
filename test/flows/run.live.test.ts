// Workflow runs on a whole system, through the command line: to the end, over a kill of the control plane, cancelled, failed, refused.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Client, Result } from '../../clients/typescript/src/index.ts';
import { LAUNCHER, startBeamway, temporaryFolder, until } from './start-beamway.ts';

const beamway = await startBeamway({ after });
const { client, value } = await beamway.mint();
const folder = temporaryFolder();
after(() => rmSync(folder, { recursive: true, force: true }));

/** Two streams; one step that waits for a file, then one that reads what it was attached to. */
const WORKFLOW = `apiVersion: beamway/v1
kind: Workflow
name: flow
parameters:
  gate: {description: a file that lets the first step end}
  result: {default: "0", description: exit code of the first step}
streams:
  frames: {template: lcls-frames, parameters: {bufferBytes: 1048576}}
  results: {template: lcls-results, parameters: {bufferBytes: 65536}}
steps:
  first:
    executable: /bin/sh
    arguments: [-c, 'test -s "$BEAMWAY_STREAMS" || exit 9; while [ ! -e "$1" ]; do sleep 0.05; done; exit "$2"', sh, "\${parameters.gate}", "\${parameters.result}"]
    tier: urgent
    streams: {frames: consumer, results: producer}
  second: {executable: /bin/echo, arguments: [done], after: [first]}
`;
const workflowFile = join(folder, 'workflow.yaml');
writeFileSync(workflowFile, WORKFLOW);

async function run(
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const child = spawn(LAUNCHER, ['run', ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: folder, BEAMWAY_URL: beamway.url(), BEAMWAY_TOKEN: value },
  });
  const text = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text.out += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text.err += part;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...text };
}

const start = (gate: string, result = '0', by: Client = client): Promise<Result<'run.create'>> =>
  by.call('run.create', { body: { workflow: WORKFLOW, parameters: { gate: join(folder, gate), result } } });
const open = (gate: string): void => writeFileSync(join(folder, gate), '');
const show = (id: string) => client.call('run.show', { params: { id } });
const ended = (id: string) =>
  until('the run ends', async () => {
    const now = await show(id);
    return now.endedAt !== null && now;
  });
const firstRuns = (id: string) =>
  until('its first step runs', async () => {
    const now = await show(id);
    assert.equal(now.state, 'running', now.reason);
    return now.effects.some((e) => e.name === 'first' && e.state === 'ready') && now;
  });

/** What a run has made: one of each, its streams let go. */
async function checkLeftovers(now: Result<'run.show'>, jobs: number): Promise<void> {
  const targets = now.effects.flatMap((e) => (e.target === null ? [] : [e.target]));
  const { streams } = await client.call('stream.list', { query: { released: 'true', limit: 1000 } });
  for (const stream of streams.filter((s) => targets.includes(s.id))) assert.equal(stream.state, 'released');
  assert.equal(targets.filter((id) => id.startsWith('str_')).length, 2);
  assert.equal(targets.filter((id) => id.startsWith('job_')).length, jobs);
  assert.equal(new Set(targets).size, targets.length);
}

test('beamway run executes a workflow to its end and exits 0', { timeout: 60_000 }, async () => {
  open('a');
  const { code, out, err } = await run([
    workflowFile,
    '--environment',
    'ace',
    '--parameter',
    `gate=${join(folder, 'a')}`,
  ]);
  assert.equal(code, 0, err);
  const now = JSON.parse(out) as Result<'run.show'>;
  assert.equal(now.state, 'completed');
  await checkLeftovers(now, 2);
});

test('a control plane killed in the middle of a run resumes it, and makes nothing twice', {
  timeout: 90_000,
}, async () => {
  const before = {
    streams: (await client.call('stream.list', { query: { released: 'true', limit: 1000 } })).streams.length,
    jobs: (await client.call('job.list', { query: { limit: 1000 } })).jobs.length,
  };
  // Killed as soon as the run is stored: whatever it had begun by then must not be begun again.
  const early = await start('b');
  await beamway.kill();
  await beamway.restart();
  await firstRuns(early.id);
  await beamway.kill();
  open('b');
  await beamway.restart();
  const now = await ended(early.id);
  assert.equal(now.state, 'completed', now.reason);
  await checkLeftovers(now, 2);
  assert.equal(
    (await client.call('stream.list', { query: { released: 'true', limit: 1000 } })).streams.length,
    before.streams + 2,
  );
  assert.equal((await client.call('job.list', { query: { limit: 1000 } })).jobs.length, before.jobs + 2);
});

test('a cancelled run ends its job and releases its streams', { timeout: 60_000 }, async () => {
  const { id } = await start('never');
  const running = await firstRuns(id);
  await client.call('run.cancel', { params: { id } });
  const now = await ended(id);
  assert.equal(now.state, 'cancelled');
  await checkLeftovers(now, 1);
  const job = running.effects.find((e) => e.name === 'first')?.target ?? '';
  await until(
    'its job is over',
    async () => (await client.call('job.show', { params: { id: job } })).state === 'cancelled',
  );
});

test('a step that fails fails the run, and the command line exits 1', { timeout: 60_000 }, async () => {
  open('c');
  const { code, out } = await run([
    workflowFile,
    '--environment',
    'ace',
    '--parameter',
    `gate=${join(folder, 'c')}`,
    '--parameter',
    'result=3',
  ]);
  assert.equal(code, 1);
  const now = JSON.parse(out) as Result<'run.show'>;
  assert.equal(now.state, 'failed');
  assert.match(now.reason, /job first/);
  await checkLeftovers(now, 1);
});

test('a faulty workflow is told by line and column, and nothing is begun', { timeout: 60_000 }, async () => {
  const faulty = join(folder, 'faulty.yaml');
  writeFileSync(faulty, WORKFLOW.replace('tier: urgent', 'tier: URGENT'));
  const line = WORKFLOW.split('\n').findIndex((l) => l.includes('tier: urgent')) + 1;
  const { code, err } = await run([faulty, '--environment', 'ace', '--parameter', 'gate=x']);
  assert.equal(code, 2, err);
  assert.match(err, new RegExp(`line ${line}, column \\d+: steps\\.first\\.tier`));
  const { runs } = await client.call('run.list', { query: { limit: 1000 } });
  assert.ok(runs.every((r) => r.endedAt !== null));
});

test('a token that may not make streams, or not submit, cannot have a workflow do it', {
  timeout: 60_000,
}, async () => {
  for (const scopes of [
    ['run:create', 'job:submit', 'stream:connect'],
    ['run:create', 'job:submit', 'stream:create'],
    ['run:create', 'stream:create', 'stream:connect'],
  ]) {
    const { client: weak } = await beamway.mint({ scopes });
    await assert.rejects(start('never', '0', weak), { status: 403, code: 'refused' }, scopes.join());
  }
  const { client: stranger } = await beamway.mint({ project: 'beamtime' });
  const { runs } = await client.call('run.list', { query: { limit: 1 } });
  await assert.rejects(stranger.call('run.show', { params: { id: runs[0]?.id ?? '' } }), { status: 404 });
});
