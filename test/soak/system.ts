/** A whole Beamway for soaks: `./beamway up --dev` in a folder of its own, with an administrator's client and one of a project. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type Client, createClient } from '../../clients/typescript/src/index.ts';
import { ALL_SCOPES } from '../../src/identity/index.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../beamway');

export interface SoakSystem {
  readonly client: Client;
  readonly nodePid: number;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startSoakSystem(): Promise<SoakSystem> {
  const state = await mkdtemp(join(tmpdir(), 'beamway-soak-'));
  await chmod(state, 0o711);
  const child = spawn(LAUNCHER, ['up', '--state', state, '--listen', '127.0.0.1:0', '--dev'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      BEAMWAY_LOG_LEVEL: 'warn',
      BEAMWAY_LIMIT_FACTOR: '1000',
    },
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const ready = JSON.parse(line) as { url: string; adminToken: string; pid: number; nodes: { pid: number }[] };
  const admin = createClient({ url: ready.url, token: ready.adminToken });
  const { value } = await admin.call('token.mint', {
    body: { project: 'demo', environments: ['ace'], scopes: [...ALL_SCOPES], lifetimeSeconds: 6 * 3600 },
  });
  return {
    client: createClient({ url: ready.url, token: value }),
    nodePid: ready.nodes[0]?.pid ?? 0,
    pid: ready.pid,
    async stop() {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
      await rm(state, { recursive: true, force: true });
    },
  };
}

/** Open file descriptors, listening TCP sockets among them, and resident memory of a process. */
export async function holdings(pid: number): Promise<{ readonly descriptors: number; readonly rssKiB: number }> {
  const descriptors = (await readdir(`/proc/${pid}/fd`)).length;
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return { descriptors, rssKiB: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) };
}
