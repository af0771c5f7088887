// Beamline, analysis job and its workers as real processes over real ZeroMQ, the relay replaced by a stand-in.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BeamlineSummary } from './beamline/summary.ts';
import { type RelayStandIn, startRelayStandIn } from './relay-stand-in.ts';
import { readBeamlineOutput } from './report/read-beamline-output.ts';
import type { Delivery } from './stream-attachment.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));

type Program = {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  readonly out: () => string;
  readonly err: () => string;
};

function start(
  t: TestContext,
  file: string,
  options: { readonly args: readonly string[]; readonly env?: NodeJS.ProcessEnv },
): Program {
  const child = spawn(process.execPath, [join(HERE, file), ...options.args], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    err += data;
  });
  const exit = once(child, 'exit').then(([code]) => code as number | null);
  t.after(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  });
  return { child, exit, out: () => out, err: () => err };
}

async function startStandIn(t: TestContext, delivery: Delivery): Promise<RelayStandIn> {
  const relay = await startRelayStandIn(delivery);
  t.after(() => relay.close());
  return relay;
}

function startJob(t: TestContext, relay: RelayStandIn): Program {
  return start(t, 'analyse.ts', { args: ['--workers', '2'], env: { BEAMWAY_STREAMS: relay.jobFile } });
}

function startBeamline(t: TestContext, relay: RelayStandIn, args: readonly string[]): Program {
  return start(t, 'beamline.ts', {
    args: ['--streams', relay.beamlineFile, '--out', join(relay.folder, 'out'), ...args],
  });
}

async function summaryOf(relay: RelayStandIn): Promise<BeamlineSummary> {
  return JSON.parse(await readFile(join(relay.folder, 'out', 'beamline.json'), 'utf8')) as BeamlineSummary;
}

async function until(t: TestContext, condition: () => boolean): Promise<void> {
  while (!condition()) {
    t.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function workerPids(job: Program): readonly number[] {
  const line = /process ([\d, ]+)/.exec(job.out())?.[1] ?? '';
  return line.split(', ').map(Number);
}

/** False for a process that has ended but was not yet reaped: an orphan's new parent may take its time. */
function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

for (const delivery of ['at-most-once', 'redeliver'] as const) {
  test(`every frame is answered once and steering works over a ${delivery} stream`, { timeout: 60_000 }, async (t) => {
    const relay = await startStandIn(t, delivery);
    const job = startJob(t, relay);
    const beamline = startBeamline(t, relay, ['--frames', '160', '--seed', '7']);
    assert.equal(await beamline.exit, 0, beamline.err());
    assert.equal(await job.exit, 0, job.err());
    assert.match(job.out(), /every worker was told to end/);
    const summary = await summaryOf(relay);
    assert.deepEqual(
      {
        sent: summary.sent,
        answered: summary.answered,
        lost: summary.lost,
        duplicated: summary.duplicated,
        faults: summary.faults,
      },
      { sent: 160, answered: 160, lost: [], duplicated: 0, faults: [] },
    );
    assert.equal(summary.workers.length, 2);
    assert.deepEqual(summary.workersWithoutBye, []);
    assert.ok((summary.hitRateAfter ?? 0) > (summary.hitRateBeforeSteering ?? 1));
    assert.ok((summary.recall ?? 0) >= 0.95 && (summary.precision ?? 0) >= 0.95);
    const events = beamline
      .out()
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event: string }).event);
    for (const event of ['started', 'worker', 'progress', 'steered', 'done']) assert.ok(events.includes(event), event);
    const output = await readBeamlineOutput(join(relay.folder, 'out'));
    assert.equal(output.answered.length, 160);
    assert.ok((output.hitFrame?.peaks.length ?? 0) > 20);
    assert.equal(output.blankFrame?.truth?.length, 0);
    await until(t, () => relay.openTags() === 0);
    assert.equal(relay.forwarded(), 162);
    t.diagnostic(
      `${summary.framesPerSecond.toFixed(0)} frames/s, recall ${summary.recall}, precision ${summary.precision}`,
    );
  });
}

test('a dropped frame is reported as exactly one lost, with exit 1', { timeout: 60_000 }, async (t) => {
  const relay = await startStandIn(t, 'redeliver');
  const job = startJob(t, relay);
  const beamline = startBeamline(t, relay, ['--frames', '100', '--fault', 'drop-one']);
  assert.equal(await beamline.exit, 1);
  assert.equal(await job.exit, 0);
  const summary = await summaryOf(relay);
  assert.deepEqual(summary.lost, [50]);
  assert.deepEqual(summary.faults, ['1 lost']);
});

test('SIGTERM ends job and beamline, and no worker stays', { timeout: 60_000 }, async (t) => {
  const relay = await startStandIn(t, 'redeliver');
  const job = startJob(t, relay);
  const beamline = startBeamline(t, relay, ['--frames', '100000']);
  await until(t, () => beamline.out().includes('"progress"'));
  const workers = workerPids(job);
  assert.equal(workers.length, 2);
  job.child.kill('SIGTERM');
  assert.equal(await job.exit, 143);
  await until(t, () => !workers.some(isAlive));
  beamline.child.kill('SIGTERM');
  assert.equal(await beamline.exit, 143);
  const summary = await summaryOf(relay);
  assert.deepEqual(summary.workersWithoutBye, []);
  assert.equal(summary.duplicated, 0);
});

test('workers end when the process that started them is killed', { timeout: 60_000 }, async (t) => {
  const relay = await startStandIn(t, 'at-most-once');
  const job = startJob(t, relay);
  await until(t, () => job.out().includes('process'));
  const workers = workerPids(job);
  assert.ok(workers.every(isAlive));
  job.child.kill('SIGKILL');
  await until(t, () => !workers.some(isAlive));
});

test('wrong use is told in words with exit 2', async (t) => {
  const job = start(t, 'analyse.ts', { args: ['--workers', 'many'] });
  assert.equal(await job.exit, 2);
  assert.match(job.err(), /--workers must be/);
  const beamline = start(t, 'beamline.ts', { args: ['--streams', 'x', '--out', 'y', '--fault', 'fire'] });
  assert.equal(await beamline.exit, 2);
  assert.match(beamline.err(), /drop-one only/);
});
