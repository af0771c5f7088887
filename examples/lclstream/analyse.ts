// What the batch job runs: N worker processes, watched. `node analyse.ts --workers N [--threshold SNR]`, BEAMWAY_STREAMS in the environment.
// Ends with 0 when every worker was told to end, with 1 as soon as one fails, with 143 on SIGTERM. Owns the workers.
// Human lines go to stdout: they are the job's output.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Time a worker has to finish its frame and say goodbye before it is killed, ms. A batch system's own grace is usually 30 s. */
const GRACE_MS = 2_000;
const MOST_WORKERS = 256;
const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));

function say(line: string): void {
  process.stdout.write(`${new Date().toISOString()} ${line}\n`);
}

function readArguments(): { readonly workers: number; readonly threshold: string | undefined } {
  const { values } = parseArgs({
    options: { workers: { type: 'string', default: '1' }, threshold: { type: 'string' } },
  });
  const workers = Number(values.workers);
  if (!Number.isInteger(workers) || workers < 1 || workers > MOST_WORKERS) {
    throw new Error(`--workers must be a whole number from 1 to ${MOST_WORKERS}`);
  }
  if (values.threshold !== undefined && !(Number(values.threshold) > 0)) throw new Error('--threshold must be above 0');
  return { workers, threshold: values.threshold };
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** SIGTERM to all, SIGKILL to those still there after the grace. */
function endWorkers(children: readonly ChildProcess[]): void {
  for (const child of children.filter(isRunning)) child.kill('SIGTERM');
  setTimeout(() => {
    for (const child of children.filter(isRunning)) child.kill('SIGKILL');
  }, GRACE_MS).unref();
}

async function main(): Promise<number> {
  const { workers, threshold } = readArguments();
  const workerArguments = threshold === undefined ? [] : ['--threshold', threshold];
  const children = Array.from({ length: workers }, () => fork(WORKER, workerArguments));
  say(
    `analysis started: ${workers} worker${workers === 1 ? '' : 's'}, process ${children.map((each) => each.pid).join(', ')}`,
  );
  let stoppedBy: NodeJS.Signals | undefined;
  const stop = (signal: NodeJS.Signals): void => {
    if (stoppedBy) return;
    stoppedBy = signal;
    say(`${signal}: ending the workers`);
    endWorkers(children);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  let failed = false;
  await Promise.all(
    children.map(async (child) => {
      const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
      if (code === 0) return;
      say(`worker ${child.pid} ended with ${signal ?? `exit code ${code}`}`);
      if (!stoppedBy && !failed) endWorkers(children);
      failed = true;
    }),
  );
  if (stoppedBy) return stoppedBy === 'SIGTERM' ? 143 : 130;
  say(failed ? 'analysis failed' : 'analysis ended: every worker was told to end');
  return failed ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`analyse: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
