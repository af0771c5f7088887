/** One daemon of ours: begun in a session of its own, found again by pid and start time, ended by signal. State: its file in `pids/`. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { identityOf, isAlive, type ProcessIdentity } from '../../../src/process-identity.ts';

export interface DaemonSpec {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: { readonly uid: number; readonly gid: number };
}

const ENDING_MS = 10_000;

export function daemonPid(dir: string, name: string): ProcessIdentity | undefined {
  try {
    const found = JSON.parse(readFileSync(join(dir, 'pids', name), 'utf8')) as ProcessIdentity;
    return isAlive(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Begins it unless it runs. */
export function beginDaemon(dir: string, spec: DaemonSpec): void {
  if (daemonPid(dir, spec.name) !== undefined) return;
  const log = openSync(join(dir, 'log', `${spec.name}.out`), 'a', 0o644);
  const [program, ...args] = spec.argv;
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: dir,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...spec.env },
    ...spec.user,
  });
  closeSync(log);
  child.unref();
  const self = child.pid === undefined ? undefined : identityOf(child.pid);
  if (self === undefined) throw new Error(`${program} did not start`);
  writeFileSync(join(dir, 'pids', spec.name), JSON.stringify(self));
}

/** SIGTERM, and SIGKILL for one that does not listen. */
export async function endDaemon(dir: string, name: string, first: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  const found = daemonPid(dir, name);
  if (found !== undefined) {
    process.kill(found.pid, first);
    const until = performance.now() + ENDING_MS;
    while (isAlive(found)) {
      if (performance.now() > until) process.kill(found.pid, 'SIGKILL');
      await pause(20);
    }
  }
  rmSync(join(dir, 'pids', name), { force: true });
}

/** Looks until it holds; rejects with `what`, what the last look threw, and the end of each of `logs`, when that takes for ever. */
export async function untilUp(what: string, look: () => Promise<boolean>, logs: readonly string[] = []): Promise<void> {
  const until = performance.now() + 60_000;
  let last: unknown;
  const held = (): Promise<boolean> =>
    look().catch((cause: unknown) => {
      last = cause;
      return false;
    });
  while (!(await held())) {
    if (performance.now() > until)
      throw new Error([`${what} did not come up within 60 s`, ...logs.map(endOf)].join('\n'), { cause: last });
    await pause(50);
  }
}

const END_LINES = 15;

function endOf(path: string): string {
  try {
    return `--- ${path}\n${readFileSync(path, 'utf8').trimEnd().split('\n').slice(-END_LINES).join('\n')}`;
  } catch {
    return `--- ${path}: not there`;
  }
}
