/**
 * Starts or adopts one process of ours and keeps it running. It is detached: it outlives our SIGKILL, and the next start finds it by pid and start time. A dead one is started
 * again with a growing pause. State: its record and its log in the folder given.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from './clock.ts';
import { identityOf, isAlive, type ProcessIdentity, signalProcess } from './process-identity.ts';

export interface SupervisedOptions {
  /** Names its record and its log. */
  readonly name: string;
  readonly folder: string;
  /** A module of ours, and its one argument as JSON. */
  readonly entry: URL;
  readonly argument: object;
  readonly clock: Clock;
}

export interface Supervised {
  pid(): number;
  stop(): Promise<void>;
}

const LOOK_MS = 250;
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 5000;
/** Between SIGTERM and SIGKILL. */
const STOP_MS = 10_000;

export function superviseProcess(options: SupervisedOptions): Supervised {
  const { clock } = options;
  const record = join(options.folder, `${options.name}.json`);
  let current = readIdentity(record);
  if (current === undefined || !isAlive(current)) current = launch(options, record);
  let stopped = false;
  let pauseMs = FIRST_PAUSE_MS;
  let cancel = (): void => undefined;

  const look = (): void => {
    if (stopped) return;
    if (current !== undefined && isAlive(current)) {
      pauseMs = FIRST_PAUSE_MS;
      cancel = clock.after(LOOK_MS, look);
      return;
    }
    cancel = clock.after(pauseMs, () => {
      if (stopped) return;
      current = launch(options, record);
      look();
    });
    pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS);
  };
  look();

  return {
    pid: () => current?.pid ?? 0,
    async stop() {
      stopped = true;
      cancel();
      const target = current;
      if (target === undefined || !signalProcess(target, 'SIGTERM')) return;
      const until = clock.monotonic() + STOP_MS;
      while (isAlive(target)) {
        if (clock.monotonic() > until) signalProcess(target, 'SIGKILL');
        await new Promise<void>((resolve) => void clock.after(20, resolve));
      }
    },
  };
}

function launch({ name, folder, entry, argument }: SupervisedOptions, record: string): ProcessIdentity {
  const log = openSync(join(folder, `${name}.log`), 'a', 0o600);
  const child = spawn(process.execPath, [entry.pathname, JSON.stringify(argument)], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
    env: { PATH: '/usr/bin:/bin' },
  });
  child.unref();
  child.on('error', () => undefined); // seen as a process that is not alive
  closeSync(log);
  const identity = identityOf(child.pid ?? 0) ?? { pid: child.pid ?? 0, startTicks: 0, bootId: '' };
  writeFileSync(`${record}.new`, JSON.stringify(identity), { mode: 0o600 });
  renameSync(`${record}.new`, record);
  return identity;
}

function readIdentity(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
