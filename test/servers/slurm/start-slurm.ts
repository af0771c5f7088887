/**
 * A whole real Slurm in one folder, as root: begins what is dead, in order, and waits until all nodes are there. Kept state makes a second start on the folder quick.
 * Owns the processes it began; `stop` ends jobs and daemons, `purge` removes the folder too.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeAccounts, type SlurmAccount, type SlurmTier, sacctmgr } from './accounts.ts';
import { configure, type SlurmPlan, unixUser } from './configure.ts';
import { beginDaemon, type DaemonSpec, daemonPid, endDaemon, untilUp } from './daemon.ts';

const run = promisify(execFile);

export interface SlurmOptions {
  /** Absolute; every user must be able to pass its parents. */
  readonly dir: string;
  readonly cluster?: string;
  readonly nodes?: number;
  readonly slotsPerNode?: number;
  readonly credExpireSeconds?: number;
  readonly killWaitSeconds?: number;
  readonly tiers?: readonly SlurmTier[];
  readonly accounts?: readonly SlurmAccount[];
  /** Unix users, made where they are missing, who are Slurm Operators. */
  readonly operators?: readonly string[];
}

export interface SlurmServer {
  readonly dir: string;
  readonly cluster: string;
  readonly conf: string;
  /** For running Slurm's own commands. */
  readonly env: Readonly<Record<string, string>>;
  readonly restUrl: string;
  readonly jwtKeyFile: string;
  readonly daemons: readonly string[];
  pid(daemon: string): number | undefined;
  kill(daemon: string, signal?: NodeJS.Signals): Promise<void>;
  /** Begins what is dead and waits for it. */
  restart(): Promise<void>;
  command(program: string, ...args: string[]): Promise<string>;
  stop(how?: { readonly purge: boolean }): Promise<void>;
}

export const TEST_TIERS: readonly SlurmTier[] = [
  { name: 'batch', priority: 100, preempts: [] },
  { name: 'interactive', priority: 1000, preempts: ['batch'] },
  { name: 'urgent', priority: 10_000, preempts: ['batch', 'interactive'] },
];
export const TEST_ACCOUNTS: readonly SlurmAccount[] = [
  { account: 'demo', user: 'bw-demo', tiers: ['batch', 'interactive', 'urgent'] },
  { account: 'beamtime', user: 'bw-beamtime', tiers: ['batch', 'interactive'] },
];

export async function startSlurm(options: SlurmOptions): Promise<SlurmServer> {
  const { dir, cluster = 'lab', nodes = 8, tiers = TEST_TIERS, accounts = TEST_ACCOUNTS, operators = [] } = options;
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const plan: SlurmPlan = {
    dir,
    cluster,
    nodes,
    slotsPerNode: options.slotsPerNode ?? 4,
    credExpireSeconds: options.credExpireSeconds ?? 5,
    killWaitSeconds: options.killWaitSeconds ?? 1,
    users: accounts.map((a) => a.user),
    operators,
  };
  const ports = await configure(plan);
  const conf = join(dir, 'etc', 'slurm.conf');
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', SLURM_CONF: conf };
  const socket = join(dir, 'run', 'mysqld.sock');
  const mungeSocket = join(dir, 'munge', 'munge.socket');
  const names = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
  const command = async (program: string, ...args: string[]): Promise<string> =>
    (await run(program, args, { env, maxBuffer: 64 * 1024 * 1024 })).stdout;

  const begin = (spec: DaemonSpec): void => beginDaemon(dir, spec);
  const slurmUser = unixUser('slurm');
  const beginAll = async (): Promise<void> => {
    begin({
      name: 'munged',
      user: unixUser('munge'),
      argv: [
        '/usr/sbin/munged',
        '--foreground',
        `--key-file=${dir}/etc/munge.key`,
        `--socket=${mungeSocket}`,
        `--pid-file=${dir}/munge/munged.pid`,
        `--log-file=${dir}/munge/munged.log`,
        `--seed-file=${dir}/munge/munged.seed`,
      ],
    });
    if (!existsSync(join(dir, 'mysql', 'mysql')))
      await command(
        '/usr/bin/mariadb-install-db',
        '--no-defaults',
        `--datadir=${dir}/mysql`,
        '--user=mysql',
        '--auth-root-authentication-method=socket',
        '--skip-test-db',
      );
    begin({ name: 'mariadbd', argv: ['/usr/sbin/mariadbd', `--defaults-file=${dir}/etc/my.cnf`] });
    await untilUp('munged', async () => (await command('/usr/bin/munge', '-S', mungeSocket, '-n')) !== '');
    const mariadb = (...args: string[]) => command('/usr/bin/mariadb', '--no-defaults', '-S', socket, ...args);
    await untilUp('MariaDB', async () => (await mariadb('-e', 'select 1')) !== '');
    await mariadb(
      '-e',
      'CREATE DATABASE IF NOT EXISTS slurm_acct; CREATE USER IF NOT EXISTS slurm@localhost IDENTIFIED VIA unix_socket; GRANT ALL ON slurm_acct.* TO slurm@localhost;',
    );
    begin({
      name: 'slurmdbd',
      user: slurmUser,
      argv: ['/usr/sbin/slurmdbd', '-D'],
      env: { ...env, MYSQL_UNIX_PORT: socket },
    });
    await untilUp('slurmdbd', async () => {
      await command('/usr/bin/sacctmgr', '-n', 'list', 'cluster');
      return true;
    });
    const known = await sacctmgr(env, ['-nP', 'list', 'cluster', cluster, 'format=cluster']);
    if (!known.includes(cluster)) await sacctmgr(env, ['-i', 'add', 'cluster', cluster]);
    await makeAccounts(env, cluster, { tiers, accounts, operators });
    begin({ name: 'slurmctld', user: slurmUser, argv: ['/usr/sbin/slurmctld', '-D'], env });
    await untilUp('slurmctld', async () => /\bUP\b/.test(await command('/usr/bin/scontrol', 'ping')));
    const beginNodes = (): void => {
      for (const name of names) {
        mkdirSync(join(dir, 'spool', name), { recursive: true });
        begin({ name: `slurmd.${name}`, argv: ['/usr/sbin/slurmd', '-D', '-N', name], env });
      }
    };
    beginNodes();
    begin({
      name: 'slurmrestd',
      user: unixUser('slurmrestd'),
      argv: ['/usr/sbin/slurmrestd', '-a', 'rest_auth/jwt', `127.0.0.1:${ports.rest}`],
      // Without it every JWT is refused.
      env: { ...env, SLURM_JWT: 'daemon' },
    });
    await untilUp(
      'the nodes',
      async () => {
        beginNodes(); // one that ended because a stranger held its port for a moment begins again
        const text = await command('/usr/bin/sinfo', '-h', '-N', '-p', 'batch', '-t', 'idle,mix,alloc', '-o', '%N');
        return new Set(text.trim().split(/\s+/)).size === nodes && text.trim() !== '';
      },
      [...names.map((name) => `slurmd.${name}`), 'slurmctld'].map((name) => join(dir, 'log', `${name}.log`)),
    );
    await untilUp('slurmrestd', () => listens(ports.rest));
  };
  const daemons = ['munged', 'mariadbd', 'slurmdbd', 'slurmctld', ...names.map((n) => `slurmd.${n}`), 'slurmrestd'];
  const stop = async (how: { readonly purge: boolean } = { purge: true }): Promise<void> => {
    if (daemonPid(dir, 'slurmctld') !== undefined) await endJobs(command).catch(() => undefined);
    for (const name of [
      'slurmrestd',
      ...names.map((n) => `slurmd.${n}`),
      'slurmctld',
      'slurmdbd',
      'mariadbd',
      'munged',
    ])
      await endDaemon(dir, name);
    if (how.purge) rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };
  try {
    await beginAll();
  } catch (cause) {
    await stop({ purge: false });
    throw cause;
  }
  return {
    dir,
    cluster,
    conf,
    env,
    restUrl: `http://127.0.0.1:${ports.rest}`,
    jwtKeyFile: join(dir, 'etc', 'jwt_hs256.key'),
    daemons,
    pid: (name) => daemonPid(dir, name)?.pid,
    kill: (name, signal = 'SIGKILL') => endDaemon(dir, name, signal),
    restart: beginAll,
    command,
    stop,
  };
}

/** Job steps are children of slurmstepd, not of slurmd: ended first, or they would stay. */
async function endJobs(command: (program: string, ...args: string[]) => Promise<string>): Promise<void> {
  for (const id of new Set((await command('/usr/bin/squeue', '-h', '-o', '%A')).trim().split(/\s+/)))
    if (id !== '') await command('/usr/bin/scancel', id);
  await untilUp('an empty queue', async () => (await command('/usr/bin/squeue', '-h')).trim() === '');
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
