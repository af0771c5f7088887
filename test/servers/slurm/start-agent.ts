/**
 * For tests: the real signer and the real agent, as processes of their own Unix users, beside a test's Slurm. Each agent has a folder of jobs and a name of its own, so that
 * tests one after another on one Slurm do not see each other's jobs. Owns the processes and its folder.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ensureUser, unixUser } from './configure.ts';
import type { SlurmServer } from './start-slurm.ts';

export const AGENT_USER = 'beamway-slurm';
const SIGNER_USER = 'beamway-signer';
const entry = (name: string): string => fileURLToPath(new URL(`../../../src/${name}`, import.meta.url));

export interface AgentWish {
  readonly slurm: SlurmServer;
  /** Absolute; others can pass its parents. */
  readonly dir: string;
  readonly cluster: string;
  readonly instance: string;
  readonly link: { readonly url: string; readonly bearer: string };
  /** Project to its Unix user. */
  readonly users: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface TestAgent {
  readonly jobsRoot: string;
  rootOf(project: string): string;
  pid(): number;
  kill(signal: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function startAgent(wish: AgentWish): Promise<TestAgent> {
  const { dir, slurm } = wish;
  const agent = unixUser(AGENT_USER);
  const signer = ensureUser(SIGNER_USER, ['-r', '-M', '-s', '/usr/sbin/nologin', '-d', '/nonexistent']);
  const at = (...path: string[]): string => join(dir, ...path);
  const own = (path: string, user: { readonly uid: number; readonly gid: number }, mode: number): void => {
    chownSync(path, user.uid, user.gid);
    chmodSync(path, mode);
  };
  const folder = (path: string, user: { readonly uid: number; readonly gid: number }, mode: number): void => {
    mkdirSync(path, { recursive: true });
    own(path, user, mode);
  };
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o755);
  folder(at('jobs'), agent, 0o711);
  folder(at('agent'), agent, 0o700);
  folder(at('signer'), { uid: signer.uid, gid: agent.gid }, 0o750);
  mkdirSync(at('projects'), { recursive: true });
  const rootOf = (project: string): string => at('projects', project);
  for (const [project, user] of Object.entries(wish.users)) folder(rootOf(project), unixUser(user), 0o700);
  const write = (path: string, user: { readonly uid: number; readonly gid: number }, value: object): void => {
    writeFileSync(path, JSON.stringify(value), { mode: 0o600 });
    own(path, user, 0o600);
  };
  write(at('agent', 'mapping.yaml'), agent, {
    projects: Object.fromEntries(
      Object.entries(wish.users).map(([project, user]) => [
        project,
        { user, account: user.replace(/^bw-/, ''), roots: [rootOf(project)] },
      ]),
    ),
  });
  write(at('agent', 'link.json'), agent, { urls: [wish.link.url], bearer: wish.link.bearer });
  write(at('agent', 'agent.yaml'), agent, {
    cluster: wish.cluster,
    instance: wish.instance,
    linkFile: at('agent', 'link.json'),
    jobsRoot: at('jobs'),
    mappingFile: at('agent', 'mapping.yaml'),
    signerSocket: at('signer', 'signer.sock'),
    slurm: { conf: slurm.conf, restUrl: slurm.restUrl, name: slurm.cluster },
    ...wish.settings,
  });
  copyFileSync(slurm.jwtKeyFile, at('signer', 'key'));
  own(at('signer', 'key'), signer, 0o400);
  write(at('signer', 'signer.yaml'), signer, {
    socket: at('signer', 'signer.sock'),
    keyFile: at('signer', 'key'),
    users: [...new Set(Object.values(wish.users))],
    perMinute: 10_000,
  });
  const begin = async (name: string, argument: object): Promise<ChildProcess> => {
    const log = openSync(at(`${name}.log`), 'a');
    const child = spawn(process.execPath, [entry(name), JSON.stringify(argument)], {
      cwd: '/',
      stdio: ['ignore', 'pipe', log],
      env: { PATH: '/usr/bin:/bin' },
    });
    const lines = createInterface({ input: child.stdout ?? process.stdin });
    const ready = once(lines, 'line');
    const died = once(child, 'exit').then(() => {
      throw new Error(
        `${name} ended; see ${at(`${name}.log`)}: ${execFileSync('/usr/bin/tail', ['-n', '5', at(`${name}.log`)])}`,
      );
    });
    died.catch(() => undefined);
    await Promise.race([ready, died]);
    return child;
  };
  const end = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  };
  const signing = await begin('slurm-signer-main.ts', {
    config: at('signer', 'signer.yaml'),
    user: SIGNER_USER,
    group: AGENT_USER,
  });
  const start = () => begin('slurm-agent-main.ts', { config: at('agent', 'agent.yaml'), user: AGENT_USER });
  let current = await start();
  return {
    jobsRoot: at('jobs'),
    rootOf,
    pid: () => current.pid ?? 0,
    kill: (signal) => end(current, signal),
    async start() {
      current = await start();
    },
    async stop() {
      await end(current, 'SIGTERM');
      await end(signing, 'SIGTERM');
    },
  };
}
