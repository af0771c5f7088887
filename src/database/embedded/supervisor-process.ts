/** Starts supervisor.fixture.ts and talks to it; for tests only. Owns the processes that it starts. */
import { type ChildProcess, fork } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { systemClock } from '../../clock.ts';
import { silentLog } from '../log.ts';
import { until } from '../wait.ts';
import { DATABASE_NAME, OWNER_ROLE } from './configuration.ts';
import type { OsUser } from './os-user.ts';
import { type ProcessIdentity, processesIn, signalProcess } from './process-identity.ts';
import type { EmbeddedOptions } from './supervise.ts';

export interface TestScope {
  after(action: () => void | Promise<void>): unknown;
}

export const testOptions = (stateDir: string): EmbeddedOptions => ({
  stateDir,
  clock: systemClock,
  log: silentLog,
  maxConnections: 40,
  durable: false,
});
export const patience = { clock: systemClock, timeoutMs: 30_000 };

const cleanups = new WeakMap<TestScope, (() => void | Promise<void>)[]>();

/** Like `t.after`, but last in, first out: what was started later is ended before what it stands on. */
export function atEnd(t: TestScope, action: () => void | Promise<void>): void {
  const known = cleanups.get(t);
  if (known !== undefined) return void known.push(action);
  const actions = [action];
  cleanups.set(t, actions);
  t.after(async () => {
    for (const next of actions.reverse()) await next();
  });
}

/** A folder that is removed at the end, with every server that still works below it. */
export function temporaryFolder(t: TestScope): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'beamway-emb-'));
  // Open to the server's own user; tests that want it closed close it.
  chmodSync(folder, 0o711);
  atEnd(t, () => {
    killServersBelow(folder);
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  });
  return folder;
}

function killServersBelow(folder: string): void {
  for (const path of dataFolders(folder)) for (const left of processesIn(path)) signalProcess(left, 'SIGKILL');
}

function dataFolders(folder: string): readonly string[] {
  return [join(folder, 'state', 'database', 'data'), ...globData(join(folder, 'services'))];
}

function globData(services: string): readonly string[] {
  try {
    return readdirSync(services).map((name) => join(services, name, 'data'));
  } catch {
    return [];
  }
}

export interface SupervisorReady {
  readonly pid: number;
  readonly adopted: boolean;
  readonly host: string;
  readonly port: number;
}

export interface SupervisorProcess {
  readonly child: ChildProcess;
  /** Its first message. */
  readonly answer: Promise<{ readonly ready?: SupervisorReady; readonly error?: string }>;
  /** Tells it to end its server, or to leave it, and waits for its own end. */
  end(how: 'stop' | 'leave'): Promise<void>;
  kill(): Promise<void>;
}

export function startSupervisor(t: TestScope, options: object, user?: OsUser): SupervisorProcess {
  const program = fileURLToPath(new URL('supervisor.fixture.ts', import.meta.url));
  const as = user === undefined ? {} : { uid: user.uid, gid: user.gid };
  const child = fork(program, [JSON.stringify(options)], {
    ...as,
    cwd: '/',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  const answer = new Promise<{ ready?: SupervisorReady; error?: string }>((resolve) => {
    child.once('message', (message) => resolve(message as { ready?: SupervisorReady; error?: string }));
    child.once('exit', (code, signal) => resolve({ error: `ended with ${signal ?? code}` }));
  });
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  atEnd(t, kill);
  return {
    child,
    answer,
    kill,
    async end(how) {
      child.send(how);
      await exited;
    },
  };
}

/** Runs one statement as the owner of the tables. */
export async function query(host: string, text: string): Promise<readonly unknown[]> {
  const client = new pg.Client({ host, port: 5432, user: OWNER_ROLE, database: DATABASE_NAME });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Waits until no process works in the folder. */
export async function nobodyWorksIn(folder: string): Promise<readonly ProcessIdentity[]> {
  await until(patience, () => (processesIn(folder).length === 0 ? true : undefined));
  return processesIn(folder);
}
