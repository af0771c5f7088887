/**
 * Starts or adopts the agent process of one data streaming node and keeps it running. The agent is detached: it outlives our SIGKILL, and the
 * next start finds it by pid and start time. A dead one is started again with a growing pause.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from './clock.ts';
import { identityOf, isAlive, type ProcessIdentity, signalProcess } from './process-identity.ts';

export interface NodeProcessOptions {
  readonly name: string;
  readonly stateDir: string;
  readonly external: string;
  readonly compute: string;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly logLevel: string;
  readonly clock: Clock;
}

export interface NodeProcess {
  readonly name: string;
  pid(): number;
  stop(): Promise<void>;
}

const LOOK_MS = 250;
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 5000;
/** Between SIGTERM and SIGKILL. */
const STOP_MS = 10_000;

export async function startNodeProcess(options: NodeProcessOptions): Promise<NodeProcess> {
  mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
  const record = join(options.stateDir, 'process.json');
  let current = readIdentity(record);
  if (current === undefined || !isAlive(current)) current = launch(options, record);
  let stopped = false;
  let pauseMs = FIRST_PAUSE_MS;
  let cancel = (): void => undefined;

  const look = (): void => {
    if (stopped) return;
    if (current !== undefined && isAlive(current)) {
      pauseMs = FIRST_PAUSE_MS;
      cancel = options.clock.after(LOOK_MS, look);
      return;
    }
    cancel = options.clock.after(pauseMs, () => {
      if (stopped) return;
      current = launch(options, record);
      look();
    });
    pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS);
  };
  look();

  return {
    name: options.name,
    pid: () => current?.pid ?? 0,
    async stop() {
      stopped = true;
      cancel();
      const target = current;
      if (target === undefined || !signalProcess(target, 'SIGTERM')) return;
      const until = options.clock.monotonic() + STOP_MS;
      while (isAlive(target)) {
        if (options.clock.monotonic() > until) signalProcess(target, 'SIGKILL');
        await new Promise<void>((resolve) => void options.clock.after(20, resolve));
      }
    },
  };
}

function launch(options: NodeProcessOptions, record: string): ProcessIdentity {
  const log = openSync(join(options.stateDir, 'node.log'), 'a', 0o600);
  const { name, stateDir, external, compute, portRange, logLevel } = options;
  const child = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('node-main.ts', import.meta.url)),
      JSON.stringify({ name, stateDir, linkFile: join(stateDir, 'link.json'), external, compute, portRange, logLevel }),
    ],
    { detached: true, stdio: ['ignore', log, log], env: { PATH: '/usr/bin:/bin' } },
  );
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
