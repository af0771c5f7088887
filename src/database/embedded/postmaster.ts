/**
 * One run of the server process: begun, waited for, ended. The process leads a session of its own, so that Ctrl-C in our
 * terminal does not reach it before our own orderly end, and writes its log to a file, so that it outlives us.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { until } from '../wait.ts';
import { EmbeddedError } from './embedded-error.ts';
import { type Binaries, SERVER_ENVIRONMENT } from './find-binaries.ts';
import { type OsUser, runAs } from './os-user.ts';
import { SOCKET_NAME } from './place.ts';
import { livingPostmaster } from './postmaster-file.ts';
import {
  isAlive,
  type ProcessIdentity,
  processesIn,
  signalProcess,
  startTicksOf,
  workingFolderOf,
} from './process-identity.ts';

/** What is needed to run the server of one place. */
export interface ServerSite {
  readonly base: string;
  readonly dataFolder: string;
  readonly socketFolder: string;
  readonly binaries: Binaries;
  readonly user: OsUser;
  readonly clock: Clock;
}

/** A server that answers; `child` is absent when it was begun by an earlier supervisor. */
export interface RunningServer {
  readonly process: ProcessIdentity;
  readonly child?: ChildProcess;
}

/** A log larger than this is set aside (one generation) at the next start. */
const LARGEST_LOG_BYTES = 16 * 1024 * 1024;
/** How long a server that starts may replay its log before we give up. */
const START_PATIENCE_MS = 300_000;
const FAST_STOP_PATIENCE_MS = 20_000;
const IMMEDIATE_STOP_PATIENCE_MS = 5_000;

export function logPath(base: string): string {
  return join(base, 'postgres.log');
}

/** Begins the server and waits until it accepts connections. Throws EmbeddedError with the end of its log when it ends instead. */
export async function beginServer(site: ServerSite): Promise<RunningServer> {
  const { base, dataFolder, binaries, user, clock } = site;
  const log = openLog(logPath(base));
  const files = ['config_file=postgresql.conf', 'hba_file=pg_hba.conf', 'ident_file=pg_ident.conf'];
  const settings = files.flatMap((f) => ['-c', f.replace('=', `=${join(base, 'configuration')}/`)]);
  const from = statSync(logPath(base)).size;
  const child = spawn(join(binaries.binFolder, 'postgres'), ['-D', dataFolder, ...settings], {
    ...runAs(user),
    cwd: '/',
    env: SERVER_ENVIRONMENT,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const failure = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(`ended with ${signal ?? code}`));
  });
  let failed: string | undefined;
  void failure.then((reason) => {
    failed = reason;
  });
  const ready = await until({ clock, timeoutMs: START_PATIENCE_MS, everyMs: 10 }, () => {
    if (failed !== undefined) return { failed };
    const living = livingPostmaster(dataFolder);
    if (living === undefined || living.process.pid !== child.pid) return undefined;
    return living.file.status === 'ready' ? { process: living.process } : undefined;
  });
  if (ready !== undefined && 'process' in ready) return { process: ready.process, child };
  const why = ready?.failed ?? `not ready after ${START_PATIENCE_MS} ms`;
  if (ready === undefined) child.kill('SIGQUIT');
  throw new EmbeddedError(`PostgreSQL ${why}: ${tailOf(logPath(base), from)}`);
}

/** Waits until the server that already runs accepts connections; undefined when it ends before it does. */
export async function awaitReady(site: ServerSite, process: ProcessIdentity): Promise<RunningServer | undefined> {
  return until({ clock: site.clock, timeoutMs: START_PATIENCE_MS }, () => {
    if (!isAlive(process)) return null;
    const living = livingPostmaster(site.dataFolder);
    if (living === undefined || living.process.pid !== process.pid) return undefined;
    return living.file.status === 'ready' ? { process } : undefined;
  }).then((found) => found ?? undefined);
}

/**
 * Ends the server: fast (clients are cut, a checkpoint is written), then at once, then by SIGKILL, which takes what
 * still works in the data folder along. Afterwards neither process, socket nor pid file is left.
 */
export async function endServer(site: ServerSite, server: ProcessIdentity): Promise<void> {
  const { clock } = site;
  const gone = (): true | undefined => (isAlive(server) ? undefined : true);
  signalProcess(server, 'SIGINT');
  const fast = await until({ clock, timeoutMs: FAST_STOP_PATIENCE_MS, everyMs: 10 }, gone);
  if (fast === undefined) {
    signalProcess(server, 'SIGQUIT');
    if ((await until({ clock, timeoutMs: IMMEDIATE_STOP_PATIENCE_MS }, gone)) === undefined)
      signalProcess(server, 'SIGKILL');
  }
  await clearRemains(site, 0);
  for (const name of [SOCKET_NAME, `${SOCKET_NAME}.lock`]) rmSync(join(site.socketFolder, name), { force: true });
  if (processesIn(site.dataFolder).length === 0) rmSync(join(site.dataFolder, 'postmaster.pid'), { force: true });
}

/**
 * Waits for backends that a killed server left behind, for `patienceMs` milliseconds, then kills them: the next server
 * refuses to start while one of them still has the shared memory.
 */
export async function clearRemains(site: ServerSite, patienceMs: number): Promise<void> {
  const { clock, dataFolder } = site;
  const none = (): true | undefined => (processesIn(dataFolder).length === 0 ? true : undefined);
  if ((await until({ clock, timeoutMs: patienceMs }, none)) === undefined) {
    for (const left of processesIn(dataFolder)) signalProcess(left, 'SIGKILL');
    if ((await until({ clock, timeoutMs: 5_000 }, none)) === undefined) return;
  }
  clearReusedNumbers(site);
}

/**
 * Removes pid and lock files that name a number which another program has by now (in a container the same numbers come
 * round at every start); the server would take that program for a server and refuse. Call when no process of it is left.
 */
function clearReusedNumbers(site: ServerSite): void {
  for (const path of [join(site.dataFolder, 'postmaster.pid'), join(site.socketFolder, `${SOCKET_NAME}.lock`)]) {
    const pid = Number.parseInt(readText(path), 10);
    if (pid > 0 && startTicksOf(pid) !== undefined && workingFolderOf(pid) !== site.dataFolder)
      rmSync(path, { force: true });
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** The log lies in a folder of ours; should that fail, O_NOFOLLOW keeps root from writing through a link laid there. */
function openLog(path: string): number {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LARGEST_LOG_BYTES) renameSync(path, `${path}.1`);
  return openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
}

function tailOf(path: string, from: number): string {
  const text = readFileSync(path).subarray(from).toString('utf8').trim();
  return text.split('\n').slice(-4).join(' / ') || `see ${path}`;
}
