/**
 * Runs one attempt: takes it, exchanges its claims, starts the script in a process group of its own, enforces the time
 * limit with or without a scheduler, ends every process of it, and writes how it ended. The scheduler's files say what
 * to do; see attempt-files.ts for who writes which.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fchownSync, openSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock as clock } from '../../clock.ts';
import { identityOf } from '../../process-identity.ts';
import {
  type AttemptOrder,
  attemptPaths,
  type ClaimsFile,
  COOKIE_VARIABLE,
  type EndOrder,
  type Exit,
  type Running,
  type Started,
} from './attempt-files.ts';
import { createFileOnce, isCode, readJsonNow, writeFileDurably } from './durable-file.ts';
import { killProcessesOf, signalGroup } from './kill-processes.ts';

type Paths = ReturnType<typeof attemptPaths>;

/** `requests.onEnd` is called whenever the scheduler may have written end.json. */
export async function runAttempt(folder: string, requests: { onEnd: () => void }): Promise<void> {
  const paths = attemptPaths(folder);
  const order = readJsonNow(paths.order) as AttemptOrder;
  const self = identityOf(process.pid);
  if (self === undefined) throw new Error('/proc does not show this process');
  const taken: Started = { kind: 'claimed', ...self };
  if (!createFileOnce(paths.started, JSON.stringify(taken), { sync: false })) return;

  const stop = new AbortController();
  requests.onEnd = () => stop.abort();
  // After started.json the scheduler signals us; before it, end.json was there to be seen now.
  if (readJsonNow(paths.end) !== undefined) stop.abort();
  const exit = await attemptExit({ order, paths, stop, requests });
  writeFileDurably(paths.exit, JSON.stringify(exit));
}

interface Attempt {
  readonly order: AttemptOrder;
  readonly paths: Paths;
  readonly stop: AbortController;
  readonly requests: { onEnd: () => void };
}

async function attemptExit({ order, paths, stop, requests }: Attempt): Promise<Exit> {
  const early = (exit: Pick<Exit, 'reason' | 'detail'>): Exit => ({ ...exit, endedAtMs: clock.now() });
  const streams: Record<string, string> = {};
  if (order.claimsPath !== undefined && !stop.signal.aborted) {
    const path = order.claimsPath;
    const read = () => (readJsonNow(path) as ClaimsFile | undefined)?.claims ?? [];
    const { exchangeClaims } = await import('./exchange-claims.ts');
    const exchanged = await exchangeClaims(read, { job: order.key, attempt: order.attempt, stopped: stop.signal });
    if (stop.signal.aborted) return early({ reason: 'ended' });
    if (exchanged.kind === 'refused') return early({ reason: 'not-started', detail: exchanged.detail });
    writeFileDurably(paths.streams, JSON.stringify({ streams: exchanged.streams }), { mode: 0o600, ...owner(order) });
    streams['BEAMWAY_STREAMS'] = paths.streams;
  }
  if (stop.signal.aborted) return early({ reason: 'ended' });

  let script: ChildProcess;
  try {
    script = await startScript(order, paths, streams);
  } catch (error) {
    return early({
      reason: 'not-started',
      detail: `the script cannot be started: ${error instanceof Error ? error.message : String(error)}`,
    });
  }
  const leader = script.pid ?? 0;
  const startedAtMs = clock.now();
  let cause: 'exited' | 'time-limit' | 'ended' = 'exited';
  const terminate = (why: 'time-limit' | 'ended', graceMs: number): void => {
    if (cause === 'exited') cause = why;
    signalGroup(leader, 'SIGTERM');
    signalGroup(leader, 'SIGCONT'); // a stopped process takes no SIGTERM
    clock.after(graceMs, () => signalGroup(leader, 'SIGKILL'));
  };
  const gone = new Promise<{ readonly code: number | null; readonly signal: string | null }>((resolve) => {
    script.once('exit', (code, signal) => resolve({ code, signal }));
  });
  requests.onEnd = () => {
    const end = readJsonNow(paths.end) as EndOrder | undefined;
    terminate('ended', end?.graceMs ?? order.killGraceMs);
  };
  if (stop.signal.aborted) requests.onEnd();
  const disarm = clock.after(order.timeLimitMs, () => terminate('time-limit', order.killGraceMs));
  const running: Running = { atMs: startedAtMs };
  writeFileDurably(paths.running, JSON.stringify(running), { sync: false });

  const { code, signal } = await gone;
  const endedAtMs = clock.now();
  const reason = cause;
  disarm();
  signalGroup(leader, 'SIGKILL');
  await killProcessesOf(order.cookie);
  return {
    reason,
    startedAtMs,
    endedAtMs,
    ...(code === null ? {} : { exitCode: code }),
    ...(signal === null ? {} : { signal }),
  };
}

function owner(order: AttemptOrder): { readonly owner?: { readonly uid: number; readonly gid: number } } {
  return order.runAs === undefined ? {} : { owner: order.runAs };
}

const BUSY_TRIES = 20;
const BUSY_PAUSE_MS = 10;

async function startScript(
  order: AttemptOrder,
  paths: Paths,
  streams: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  const files = [paths.stdout, paths.stderr].map((path) => openSync(path, 'a', 0o600));
  try {
    for (const file of files) if (order.runAs !== undefined) fchownSync(file, order.runAs.uid, order.runAs.gid);
    const [out = 1, err = 2] = files;
    for (let tries = 1; ; tries++) {
      const script = spawn(order.scriptPath, order.arguments, {
        cwd: order.workDir,
        env: { ...order.environment, ...streams, [COOKIE_VARIABLE]: order.cookie },
        detached: true,
        stdio: ['ignore', out, err],
        ...order.runAs,
      });
      try {
        await new Promise((resolve, reject) => {
          script.once('spawn', resolve);
          script.once('error', reject);
        });
        return script;
      } catch (error) {
        // A process forked by the scheduler while it wrote the script still holds it open for writing, until its exec.
        if (tries === BUSY_TRIES || !isCode(error, 'ETXTBSY')) throw error;
        await pause(BUSY_PAUSE_MS);
      }
    }
  } finally {
    for (const file of files) closeSync(file);
  }
}
