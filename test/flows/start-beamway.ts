/**
 * A whole Beamway for flows: the real `./beamway up --dev` on a free port, in a state folder of its own under /tmp. Owns that folder and
 * everything the launcher starts; `after` of the test ends it, also when the test killed parts of it.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { type Client, createClient } from '../../clients/typescript/src/index.ts';
import { systemClock } from '../../src/clock.ts';
import { removeEmbedded, silentLog } from '../../src/database/index.ts';
import { ALL_SCOPES } from '../../src/identity/index.ts';

const ROOT = join(import.meta.dirname, '../..');
export const LAUNCHER = join(ROOT, 'beamway');
/** Far beyond what anything here takes on an idle machine: the tests run beside others. */
const PATIENCE_MS = 60_000;

export interface TestScope {
  after(action: () => Promise<void> | void): unknown;
}

export interface UpOptions {
  readonly facility?: string;
  readonly dev?: boolean;
  readonly listen?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: { readonly uid: number; readonly gid: number };
}

export interface StartOptions extends Omit<UpOptions, 'facility'> {
  /** Changes a copy of the example facility, which is then used. */
  readonly facility?: (directory: string) => void;
  /** Of the folder that holds the state; 0711 unless told, which every user may pass. */
  readonly folderMode?: number;
}

export interface Beamway {
  readonly state: string;
  /** These three are new after a restart. */
  url(): string;
  pid(): number;
  node(): { readonly name: string; readonly pid: number };
  /** With a session of an administrator. */
  admin(): Client;
  /** With a new project access token, all scopes unless told. */
  mint(change?: {
    readonly project?: string;
    readonly environments?: string[];
    readonly scopes?: string[];
    readonly sources?: string[];
  }): Promise<{
    readonly client: Client;
    readonly id: string;
    readonly value: string;
  }>;
  /** SIGKILL of the control plane: the rest goes on. */
  kill(): Promise<void>;
  /** Once more on the same state. */
  restart(): Promise<void>;
  /** SIGTERM. Gives the exit code. */
  stop(): Promise<number | null>;
}

interface Ready {
  readonly url: string;
  readonly pid: number;
  readonly adminToken?: string;
  readonly nodes: readonly { readonly name: string; readonly pid: number }[];
}

interface Running {
  readonly child: ChildProcess;
  readonly ready: Ready;
}

/** What `up` writes before it is ready or ends: its line, or its exit code and what it said. */
export async function spawnUp(
  state: string,
  options: UpOptions = {},
): Promise<
  { readonly child: ChildProcess; readonly said: () => string } & (
    | { readonly ready: Ready }
    | { readonly code: number | null }
  )
> {
  const facility = options.facility === undefined ? [] : ['--facility', options.facility];
  const dev = options.dev === false ? [] : ['--dev'];
  const listen = options.listen ?? '127.0.0.1:0';
  const child = spawn(LAUNCHER, ['up', '--state', state, '--listen', listen, ...facility, ...dev], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/',
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      BEAMWAY_LOG_LEVEL: 'warn',
      BEAMWAY_LIMIT_FACTOR: '1000',
      ...options.env,
    },
    ...options.user,
  });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const ended = once(child, 'exit');
  const line = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended]);
  const said = (): string => text;
  if (typeof line[0] === 'string') return { child, said, ready: JSON.parse(line[0]) as Ready };
  if (!child.stderr.closed) await once(child.stderr, 'close');
  return { child, said, code: child.exitCode };
}

/** A folder under /tmp that the database's own user may pass when root runs us. */
export function temporaryFolder(mode = 0o711): string {
  const folder = mkdtempSync(join(tmpdir(), 'beamway-flow-'));
  chmodSync(folder, mode);
  return folder;
}

export function copyFacility(to: string): string {
  cpSync(join(ROOT, 'facility'), to, { recursive: true });
  return to;
}

export async function startBeamway(t: TestScope, options: StartOptions = {}): Promise<Beamway> {
  const { facility: change, folderMode, ...given } = options;
  const folder = temporaryFolder(folderMode);
  if (given.user !== undefined) chownSync(folder, given.user.uid, given.user.gid);
  const state = join(folder, 'state');
  const facility = change === undefined ? undefined : copyFacility(join(folder, 'facility'));
  if (facility !== undefined) change?.(facility);
  const start = async (): Promise<Running> => {
    const up = await spawnUp(state, facility === undefined ? given : { ...given, facility });
    if ('code' in up) throw new Error(`beamway up ended with ${up.code}: ${up.said()}`);
    return up;
  };
  const alive = ({ child }: Running): boolean => child.exitCode === null && child.signalCode === null;
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    if (!alive(now)) return;
    const ended = once(now.child, 'exit');
    now.child.kill(name);
    await ended;
  };
  let now = await start().catch((failure: unknown) => {
    rmSync(folder, { recursive: true, force: true });
    throw failure;
  });
  t.after(async () => {
    // What a killed control plane has left running is adopted, then ended in order.
    if (now.child.signalCode === 'SIGKILL') now = await start();
    await signal('SIGTERM');
    await removeEmbedded({ stateDir: state, clock: systemClock, log: silentLog });
    rmSync(folder, { recursive: true, force: true });
  });
  const admin = (): Client => createClient({ url: now.ready.url, token: now.ready.adminToken ?? '' });
  return {
    state,
    url: () => now.ready.url,
    pid: () => now.ready.pid,
    node: () => now.ready.nodes[0] ?? { name: '', pid: 0 },
    admin,
    async mint(change = {}) {
      const { id, value } = await admin().call('token.mint', {
        body: { project: 'demo', environments: ['ace'], scopes: [...ALL_SCOPES], lifetimeSeconds: 3600, ...change },
      });
      return { id, value, client: createClient({ url: now.ready.url, token: value }) };
    },
    kill: () => signal('SIGKILL'),
    async restart() {
      assert.ok(!alive(now), 'it still runs');
      now = await start();
    },
    async stop() {
      await signal('SIGTERM');
      return now.child.exitCode;
    },
  };
}

/** Looks until it finds something; rejects with `what` when that takes for ever. */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`waited ${PATIENCE_MS / 1000} s for: ${what}`);
    await pause(20);
  }
}

/** False for a process that is gone, or of which only the zombie is left. */
export function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}

/** Processes whose working folder, arguments or environment name `text`, without ourselves. */
export function processesOf(text: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter(
      (pid) => isAlive(pid) && ['cmdline', 'environ'].some((file) => read(`/proc/${pid}/${file}`).includes(text)),
    );
}

/** Inodes of the sockets a process listens on with TCP, and how many descriptors it has. */
export function holdingsOf(pid: number): { readonly listening: number; readonly descriptors: number } {
  const listening = new Set(
    ['tcp', 'tcp6'].flatMap((file) =>
      read(`/proc/net/${file}`)
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[3] === '0A')
        .map((fields) => `socket:[${fields[9]}]`),
    ),
  );
  const targets = existsSync(`/proc/${pid}/fd`)
    ? readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`))
    : [];
  return { listening: targets.filter((target) => listening.has(target)).length, descriptors: targets.length };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
