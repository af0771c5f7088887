/**
 * `beamway up --with slurm`: a real Slurm of its own beside the system, with its agent and its signer as the two Unix users that they are at a facility. For trying out and for
 * the demonstration; at a facility these processes are the site's (docs/operate/slurm.md). Owns what lies in its folder; the daemons outlive our SIGKILL and are found again.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { systemClock } from './clock.ts';
import type { Facility } from './facility/index.ts';
import { type Supervised, superviseProcess } from './supervise-process.ts';

const run = promisify(execFile);

/** The programs that start and end the Slurm are the tests' own: they come with a checkout. */
const SLURM = fileURLToPath(new URL('../test/servers/slurm/main.ts', import.meta.url));
const AGENT = 'beamway-slurm';
const SIGNER = 'beamway-signer';

export interface SlurmWish {
  /** Others must be able to pass its parents. */
  readonly folder: string;
  readonly cluster: string;
  readonly facility: Pick<Facility, 'projects' | 'tiers'>;
  readonly nodes: number;
  readonly slotsPerNode: number;
}

export interface OwnSlurm {
  readonly conf: string;
  readonly restUrl: string;
  readonly jobsRoot: string;
  /** Where each project's user may keep files that jobs read. */
  rootOf(project: string): string;
  /** Starts or adopts signer and agent, which dial this control plane. */
  startAgent(link: {
    readonly url: string;
    readonly bearer: string;
  }): Promise<{ readonly pids: readonly number[]; stop(): Promise<void> }>;
  stop(): Promise<void>;
}

/** Throws where packages are missing, we are not root, or the checkout's test/ is not there; the text says which. */
export async function startSlurm(wish: SlurmWish): Promise<OwnSlurm> {
  if (!existsSync(SLURM)) throw new Error('--with slurm needs a checkout of Beamway: test/servers/slurm is not here');
  const { folder, cluster, facility } = wish;
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  chmodSync(folder, 0o755);
  const projects = [...facility.projects.values()];
  const argument = JSON.stringify({
    dir: join(folder, 'daemons'),
    cluster,
    nodes: wish.nodes,
    slotsPerNode: wish.slotsPerNode,
    tiers: [...facility.tiers.values()].map(({ name, priority, preempts }) => ({ name, priority, preempts })),
    accounts: projects.map(({ name, tiers }) => ({ account: name, user: `bw-${name}`, tiers })),
    operators: [AGENT],
  });
  const slurm = await runSlurm('up', argument);
  await ensureUser(SIGNER);
  const rootOf = (project: string): string => join(folder, 'projects', project);
  return {
    conf: slurm.conf,
    restUrl: slurm.restUrl,
    jobsRoot: join(folder, 'jobs'),
    rootOf,
    async startAgent(link) {
      const [agent, signer] = [await idsOf(AGENT), await idsOf(SIGNER)];
      const at = (...path: string[]): string => join(folder, ...path);
      own(at('jobs'), agent, 0o711);
      mkdirSync(at('projects'), { recursive: true, mode: 0o755 });
      for (const { name } of projects) own(rootOf(name), await idsOf(`bw-${name}`), 0o700);
      own(at('agent'), agent, 0o700);
      own(at('signer'), { uid: signer.uid, gid: agent.gid }, 0o750);
      write(at('agent', 'mapping.yaml'), agent, {
        projects: Object.fromEntries(
          projects.map(({ name }) => [name, { user: `bw-${name}`, account: name, roots: [rootOf(name)] }]),
        ),
      });
      write(at('agent', 'link.json'), agent, { urls: [link.url], bearer: link.bearer });
      write(at('agent', 'agent.yaml'), agent, {
        cluster,
        linkFile: at('agent', 'link.json'),
        jobsRoot: at('jobs'),
        mappingFile: at('agent', 'mapping.yaml'),
        signerSocket: at('signer', 'signer.sock'),
        slurm: { conf: slurm.conf, restUrl: slurm.restUrl },
      });
      copyFileSync(slurm.jwtKeyFile, at('signer', 'jwt_hs256.key'));
      chownSync(at('signer', 'jwt_hs256.key'), signer.uid, signer.gid);
      chmodSync(at('signer', 'jwt_hs256.key'), 0o400);
      write(at('signer', 'signer.yaml'), signer, {
        socket: at('signer', 'signer.sock'),
        keyFile: at('signer', 'jwt_hs256.key'),
        users: projects.map(({ name }) => `bw-${name}`),
        perMinute: 6000,
      });
      const processes: Supervised[] = [
        superviseProcess({
          name: 'slurm-signer',
          folder,
          entry: new URL('slurm-signer-main.ts', import.meta.url),
          argument: { config: at('signer', 'signer.yaml'), user: SIGNER, group: AGENT },
          clock: systemClock,
        }),
        superviseProcess({
          name: 'slurm-agent',
          folder,
          entry: new URL('slurm-agent-main.ts', import.meta.url),
          argument: { config: at('agent', 'agent.yaml'), user: AGENT },
          clock: systemClock,
        }),
      ];
      return {
        pids: processes.map((p) => p.pid()),
        async stop() {
          for (const process of processes.reverse()) await process.stop();
        },
      };
    },
    async stop() {
      await runSlurm('down', argument);
    },
  };
}

async function runSlurm(
  verb: 'up' | 'down',
  argument: string,
): Promise<{ readonly conf: string; readonly restUrl: string; readonly jwtKeyFile: string }> {
  try {
    const { stdout } = await run(process.execPath, [SLURM, verb, argument], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      maxBuffer: 1024 * 1024,
    });
    return verb === 'down' ? { conf: '', restUrl: '', jwtKeyFile: '' } : JSON.parse(stdout);
  } catch (cause) {
    const said = (cause as { readonly stderr?: string }).stderr ?? '';
    throw new Error(
      `Slurm could not be ${verb === 'up' ? 'started' : 'ended'}: ${said.trim().split('\n').slice(-6).join('\n') || cause}`,
      { cause },
    );
  }
}

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

async function idsOf(user: string): Promise<Ids> {
  const { stdout } = await run('/usr/bin/getent', ['passwd', user]);
  const [, , uid, gid] = stdout.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

async function ensureUser(user: string): Promise<void> {
  await idsOf(user).catch(() =>
    run('/usr/sbin/useradd', ['-r', '-M', '-s', '/usr/sbin/nologin', '-d', '/nonexistent', user]),
  );
}

function own(path: string, { uid, gid }: Ids, mode: number): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chownSync(path, uid, gid);
  chmodSync(path, mode);
}

/** JSON is YAML. Replaced at once: an agent that runs reads it any moment. */
function write(path: string, { uid, gid }: Ids, value: object): void {
  const text = path.endsWith('.json') ? JSON.stringify(value) : stringify(value);
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  chownSync(`${path}.new`, uid, gid);
  renameSync(`${path}.new`, path);
}
