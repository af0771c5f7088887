// `make demo`: the paper's LCLStream case study end to end on one machine, through the same launcher, command line and API that users have.
// CHAOS=control-plane kills the control plane with SIGKILL on the way; FAULT=drop-one loses a frame on purpose; FRAMES=dir replays real ones.
// Owns everything it starts, in a folder of its own, and ends it. Writes demo-out/summary.json and demo-out/report.html.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Client, createClient } from '../../clients/typescript/src/index.ts';
import { allJobs, clusterIsFull, fillCluster, ganttBars, until, wasPreempted, wasResumed } from './demo/batch-load.ts';
import { type BeamlineEvent, startBeamTime } from './demo/beam-time.ts';
import { judge } from './demo/judge.ts';
import { alarm, closingTable, progress, say, step } from './demo/narrate.ts';
import { stageApplication } from './demo/stage-application.ts';
import { type System, startSystem } from './demo/system.ts';
import { readBeamlineOutput } from './report/read-beamline-output.ts';
import { renderReport } from './report/render-report.ts';
import type { ShadedInterval } from './report/report-input.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = resolve(HERE, '../..');
const LAUNCHER = join(ROOT, 'beamway');
const FRAMES = 600;
const FEWEST_REPLAYED = 200;
/** Below this there is nothing to steer on, and an outage is over before it began. */
const FEWEST = 100;
/** Share of the frames after which the control plane is killed, and the share that must be sent before it comes back. */
const KILL_AT = 0.3;
const DOWN_FOR = 0.25;
const SCOPES = ['job:read', 'job:submit', 'job:cancel', 'stream:read', 'stream:create', 'stream:connect', 'run:create'];

const setting = (name: string): string | undefined => process.env[name] || undefined;
const chaos = setting('CHAOS');
const fault = setting('FAULT');
const framesDir = setting('FRAMES') === undefined ? undefined : resolve(ROOT, setting('FRAMES') ?? '');
const frameCount = Number(setting('FRAME_COUNT') ?? FRAMES);
const out = resolve(ROOT, setting('OUT') ?? 'demo-out');
if (chaos !== undefined && chaos !== 'control-plane') usage(`CHAOS=${chaos}: only control-plane is known`);
if (fault !== undefined && fault !== 'drop-one') usage(`FAULT=${fault}: only drop-one is known`);
if (framesDir !== undefined && !(await stat(framesDir).catch(() => undefined))?.isDirectory())
  usage(`FRAMES=${framesDir}: no such folder`);
if (!Number.isSafeInteger(frameCount) || frameCount < FEWEST) usage(`FRAME_COUNT: a whole number, at least ${FEWEST}`);
const scheduler = setting('SCHEDULER') ?? 'local';
if (scheduler !== 'local' && scheduler !== 'slurm') usage(`SCHEDULER=${scheduler}: local or slurm`);
const slurm = scheduler === 'slurm';

function usage(text: string): never {
  process.stderr.write(`demo: ${text}\n`);
  process.exit(2);
}

/** The online command line, as a beamline's shell script would call it. Gives its JSON document. */
async function beamway(url: string, token: string, args: readonly string[]): Promise<unknown> {
  const child = spawn(LAUNCHER, [...args, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], BEAMWAY_URL: url, BEAMWAY_TOKEN: token },
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`beamway ${args.join(' ')}: exit ${code}`);
  return JSON.parse(text);
}

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const state = await mkdtemp(join(tmpdir(), 'beamway-demo-'));
await chmod(state, 0o711); // started by root, the database runs as another user, who must be able to pass
const logs = join(out, 'log');
await mkdir(logs);
let system: System | undefined;
let beamline: ReturnType<typeof startBeamTime> | undefined;
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted = true;
    alarm(`${signal}: ending what was started`);
    beamline?.process.kill('SIGTERM');
  });
}

try {
  process.exitCode = await demonstrate();
} catch (failure) {
  alarm(`failed: ${failure instanceof Error ? failure.message : String(failure)}`);
  say(`logs: ${logs}`);
  process.exitCode = 1;
} finally {
  beamline?.process.kill('SIGTERM');
  await system?.stop();
  await rm(state, { recursive: true, force: true });
}

async function demonstrate(): Promise<number> {
  step(
    `A facility starts: database, control plane, data streaming node, ${slurm ? 'a real Slurm with' : 'a cluster of'} 4 nodes with 4 slots each`,
  );
  const settings = Object.entries(process.env).filter(([name]) => /^(PATH|HOME|BEAMWAY_.*)$/.test(name));
  const environment = Object.fromEntries(settings);
  const upLog = join(logs, 'up.log');
  const first = await startSystem(state, upLog, { environment, slurm });
  system = first;
  const { url, adminToken } = first.ready;
  say(`${url}, data streaming node ${first.ready.nodes.map((n) => `${n.name} (pid ${n.pid})`).join(', ')}`);

  step(
    'An administrator mints a project access token for the beamline: one project, one enclave, seven scopes, one hour',
  );
  const minted = (await beamway(url, adminToken, [
    'token',
    'mint',
    '--project',
    'demo',
    '--environment',
    'ace',
    '--scope',
    ...SCOPES,
    '--lifetime',
    '1h',
    '--description',
    'demo beamline',
  ])) as { id: string; value: string };
  const client: Client = createClient({ url, token: minted.value });
  say(`${minted.id} in environment ace (open enclave)`);

  const roots = first.ready.slurm?.roots;
  const staged =
    roots === undefined
      ? { application: HERE.replace(/\/$/, ''), interpreter: process.execPath }
      : await stageApplication({ example: HERE, modules: join(ROOT, 'node_modules') }, roots['demo'] ?? '');
  if (slurm) {
    const found = await createClient({ url, token: adminToken }).call('cluster.diagnostics', {
      params: { id: 'local' },
    });
    say(`Slurm ${found.slurmVersion}, an agent and a signer as Unix users of their own; jobs run as bw-demo`);
  }

  step('Batch users fill the cluster');
  const load = await fillCluster(client, 60);
  await until(() => clusterIsFull(client), 20_000, 'the cluster is full');
  say(`${load.slots} of ${load.slots} slots busy, ${load.jobs.length - load.slots / 2} jobs waiting`);

  step('The beamline starts its workflow: two streams from templates, an analysis job in the tier urgent');
  const startedAtMs = Date.now();
  const created = (await beamway(url, minted.value, [
    'run',
    join(HERE, 'workflow.yaml'),
    '--environment',
    'ace',
    '--parameter',
    `application=${staged.application}`,
    '--parameter',
    `interpreter=${staged.interpreter}`,
    '--detach',
  ])) as { id: string };
  const running = await until(
    async () => {
      const run = await client.call('run.show', { params: { id: created.id } });
      if (run.state !== 'running') throw new Error(`the run is ${run.state}: ${run.reason}`);
      const target = run.effects.find((effect) => effect.kind === 'job')?.target;
      if (target === null || target === undefined) return undefined;
      const job = await client.call('job.show', { params: { id: target } });
      return job.state === 'running' ? { run, job } : undefined;
    },
    30_000,
    'the analysis job runs',
  );
  const attempt = running.job.attempts[0];
  const startMs =
    attempt === undefined ? Number.NaN : Date.parse(attempt.startedAt) - Date.parse(running.job.submittedAt);
  // Slurm's own record of why a job was put back comes a moment after that.
  const preempted = await until(
    async () => {
      const those = (await allJobs(client)).filter(wasPreempted);
      return those.length > 0 ? those : undefined;
    },
    10_000,
    'batch jobs were preempted',
  );
  say(
    `${running.job.id} runs on ${attempt?.placement.map((p) => p.node).join(' and ') ?? '?'}, ${startMs} ms after it was submitted; it preempted ${preempted.length} batch jobs`,
  );

  step('The beamline takes a short-lived credential for each stream, and the beam is on');
  const streams = join(state, 'beamline-streams.json');
  for (const [name, role] of [
    ['frames', 'producer'],
    ['results', 'consumer'],
  ] as const) {
    const target = running.run.effects.find((effect) => effect.kind === 'stream' && effect.name === name)?.target ?? '';
    await beamway(url, minted.value, [
      'stream',
      'credential',
      target,
      '--role',
      role,
      '--name',
      name,
      '--file',
      streams,
    ]);
  }
  const outages: ShadedInterval[] = [];
  const meanwhile = { sent: 0 };
  const frames = framesDir === undefined ? frameCount : FEWEST_REPLAYED;
  const sent = { count: 0 };
  let chaosDone: Promise<void> | undefined;
  const hear = (event: BeamlineEvent): void => {
    if (event.sent !== undefined) sent.count = event.sent;
    if (event.event === 'steered') say(`steered at frame ${event.atSequence ?? '?'}: ${event.reason ?? ''}`);
    if (event.event === 'progress')
      progress(
        event.answered ?? 0,
        frames,
        `${event.sent ?? 0} sent, ${event.answered ?? 0} analysed, ${event.hits ?? 0} hits`,
      );
    if (chaos !== undefined && chaosDone === undefined && sent.count >= frames * KILL_AT)
      chaosDone = controlPlaneOutage();
  };
  const controlPlaneOutage = async (): Promise<void> => {
    const from = sent.count;
    const began = Date.now();
    await first.kill();
    alarm(
      `CHAOS: the control plane (pid ${first.ready.pid}) was killed with SIGKILL after ${from} frames; frames go on`,
    );
    await until(
      async () => (sent.count >= Math.min(frames, from + frames * DOWN_FOR) ? true : undefined),
      120_000,
      'frames go on without the control plane',
    );
    meanwhile.sent = sent.count - from;
    system = await startSystem(state, upLog, { environment, slurm });
    outages.push({ label: 'control plane killed', startMs: began, endMs: Date.now() });
    const same =
      system.ready.nodes.every((node) => first.ready.nodes.some((n) => n.pid === node.pid)) && system.ready.url === url;
    alarm(
      `the control plane is back after ${((Date.now() - began) / 1000).toFixed(1)} s; ${meanwhile.sent} frames were sent meanwhile; ${same ? 'the streaming node and the jobs were adopted' : 'the streaming node was NOT adopted'}`,
    );
  };
  beamline = startBeamTime({ streams, out, frames, framesDir, fault, log: join(logs, 'beamline.log') }, hear);
  const beamlineExit = await beamline.ended;
  await chaosDone;
  if (interrupted) throw new Error('interrupted');
  const measured = await readBeamlineOutput(out);
  for (const file of measured.beamline.skippedFiles) say(`skipped, no frame: ${file.file} (${file.reason})`);
  say(`${measured.beamline.sent} frames sent, ${measured.beamline.answered} analysed`);

  step('The run ends: its streams are released, and preempted batch jobs are resumed');
  const endedRun = await until(
    async () => {
      const run = await client.call('run.show', { params: { id: created.id } });
      return run.endedAt === null ? undefined : run;
    },
    60_000,
    'the run ends',
  );
  const released = endedRun.effects
    .filter((effect) => effect.kind === 'stream')
    .every((effect) => effect.state === 'released');
  const resumed = await until(
    async () => {
      const jobs = await allJobs(client);
      const those = jobs.filter(wasPreempted);
      return those.length > 0 && those.every(wasResumed) ? those : undefined;
    },
    60_000,
    'the preempted batch jobs are resumed',
  ).catch(() => []);
  const jobs = await allJobs(client);
  const bars = ganttBars(jobs, Date.now());
  say(`run ${endedRun.state}; ${resumed.length} preempted batch jobs run again`);

  step('The audit chain is verified');
  const audit = (await beamway(url, adminToken, ['audit', 'verify'])) as {
    intact: boolean;
    records: number;
    head: string;
  };
  say(`${audit.records} records, ${audit.intact ? 'intact' : 'BROKEN'}`);
  const { clusters } = await client.call('cluster.list');
  for (const id of load.jobs) await client.call('job.cancel', { params: { id } });

  const verdict = judge({
    beamline: measured.beamline,
    beamlineExit,
    run: endedRun.state,
    streamsReleased: released,
    preempted: jobs.filter(wasPreempted).length,
    resumed: resumed.length,
    urgentStartMs: startMs,
    audit,
    chaos:
      chaos === undefined
        ? null
        : {
            sentMeanwhile: meanwhile.sent,
            needed: Math.ceil(frames / 5),
            downMs: outages[0] === undefined ? 0 : outages[0].endMs - outages[0].startMs,
          },
    durationMs: Date.now() - startedAtMs,
  });
  await writeFile(join(out, 'summary.json'), `${JSON.stringify(verdict.summary, null, 2)}\n`);
  const report = renderReport({
    title: 'LCLStream on Beamway',
    summary:
      'Detector frames streamed memory to memory into a job that started at once by preempting batch work, and steered the experiment from its results.',
    generatedAt: new Date().toISOString(),
    headline: verdict.rows,
    hitFrame: measured.hitFrame,
    blankFrame: measured.blankFrame,
    answered: measured.answered,
    steering: measured.steering,
    sample: measured.sample,
    gantt: { nodes: clusters.flatMap((cluster) => cluster.nodes.map((node) => node.name)), bars },
    outages,
  });
  await writeFile(join(out, 'report.html'), report);
  closingTable(verdict.rows);
  say(`${join(out, 'summary.json')}\n         ${join(out, 'report.html')}`);
  process.stdout.write(`${verdict.line}\n`);
  return verdict.ok ? 0 : 1;
}
