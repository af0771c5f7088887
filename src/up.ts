/**
 * `beamway up`: the whole system in the foreground. Owns the supervised database, the control plane in this process, and one agent process per
 * data streaming node. Killed with SIGKILL it leaves database, agents and jobs running, and the next start adopts them.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from './clock.ts';
import type { Settings } from './config.ts';
import { type DatabaseTarget, type EmbeddedDatabase, startEmbedded } from './database/index.ts';
import type { DevIdentityProvider, DevLogin } from './dev-identity-provider.ts';
import {
  clusterOfAgent,
  type DevAccount,
  issueAgentBearer,
  issueNodeBearer,
  issueSession,
  type Provider,
  tokensPage,
} from './identity/index.ts';
import { identityOf, isAlive, type ProcessIdentity } from './process-identity.ts';
import { type FacilityFolder, readFacility } from './read-facility.ts';
import { type RunningServer, startServer } from './server.ts';
import { type NodeProcess, startNodeProcess } from './start-node-process.ts';
import { type OwnSlurm, startSlurm } from './start-slurm.ts';
import { readStateFile, serviceFolder } from './state-folder.ts';
import { unprivilegedUser } from './unprivileged-user.ts';

export interface ReadyLine {
  readonly ready: true;
  readonly url: string;
  readonly nodes: readonly { readonly name: string; readonly pid: number }[];
  readonly pid: number;
  /** Of --with slurm: for Slurm's own commands, where jobs have their folders, and where projects' users may keep files. */
  readonly slurm?: {
    readonly conf: string;
    readonly jobsRoot: string;
    readonly roots: Readonly<Record<string, string>>;
  };
  /** Of --dev: a session of an administrator for the command line, accounts for the browser, and where to sign in with them. */
  readonly adminToken?: string;
  readonly signIn?: string;
  readonly devAccounts?: readonly DevLogin[];
}

export interface RunningSystem {
  readonly line: ReadyLine;
  /** Reads the facility's policies anew; what is wrong is logged and the set in force stays. */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

const BEARER_SECONDS = 90 * 86_400;
const DEV_SESSION_SECONDS = 24 * 3600;
const LINKED_WITHIN_MS = 20_000;

interface UpRecord extends ProcessIdentity {
  readonly port: number;
}

/** Throws ConfigError, YamlError, EmbeddedError, or what the listening socket says. */
export async function up(settings: Settings): Promise<RunningSystem> {
  const log = pino({ level: settings.logLevel, base: { part: 'up' } }, pino.destination(2));
  // 0711: the database's own user must be able to pass; everything secret inside is a file of mode 0600.
  mkdirSync(settings.stateDir, { recursive: true, mode: 0o711 });
  // What is wrong with the facility is said before anything is started.
  const read = readFacility(settings.facilityDir, settings.limitFactor);
  const folder = settings.withSlurm ? withSlurm(read) : read;
  const record = join(settings.stateDir, 'up.json');
  const earlier = readStateFile(record) as UpRecord | undefined;
  if (earlier !== undefined && isAlive(earlier))
    throw new Error(`another beamway up (pid ${earlier.pid}) uses ${settings.stateDir}`);

  const undo: (() => Promise<unknown>)[] = [];
  const unwind = async (): Promise<void> => {
    for (const step of undo.reverse())
      await step().catch((cause: unknown) => log.warn({ err: cause }, 'a part did not end cleanly'));
  };
  try {
    const embedded =
      settings.databaseUrl === undefined
        ? await startEmbedded({ stateDir: settings.stateDir, clock: systemClock, log, binaries: settings.postgres })
        : undefined;
    if (embedded !== undefined) undo.push(() => embedded.stop());
    const slurm = settings.withSlurm ? beginSlurm(settings, read) : undefined;
    if (slurm !== undefined) undo.push(async () => (await slurm).stop());
    const target = targetOf(settings, embedded);
    const devPeople = settings.dev ? folder.signIn.dev.accounts : [];
    const accounts = settings.dev ? await startAccounts(devPeople) : undefined;
    if (accounts !== undefined) undo.push(() => accounts.stop());
    const devProviders = accounts === undefined ? [] : [accounts.provider];
    const server = await serve(settings, {
      target,
      folder,
      devProviders,
      devAccounts: devPeople,
      samePort: settings.listen.port === 0 ? earlier?.port : undefined,
    });
    undo.push(() => server.stop({ endJobs: true }));
    accounts?.serve(server.origin);
    const self = identityOf(process.pid);
    if (self === undefined) throw new Error('/proc does not show this process');
    writeAside(record, { ...self, port: Number(new URL(server.url).port) });
    if (embedded !== undefined)
      writeAside(join(settings.stateDir, 'connection.json'), {
        connection: embedded.connection,
        ownerConnection: embedded.ownerConnection,
      });
    const nodes = await startNodes(settings, server, undo);
    const own = await slurm;
    if (own !== undefined) undo.push(await startAgent(server, own, folder));
    const adminToken = settings.dev
      ? (
          await issueSession(server.issue, {
            subject: 'administrator',
            roles: ['administrator'],
            lifetimeSeconds: DEV_SESSION_SECONDS,
            by: 'up --dev',
          })
        ).value
      : undefined;
    const line: ReadyLine = {
      ready: true,
      url: server.url,
      nodes: nodes.map((n) => ({ name: n.name, pid: n.pid() })),
      pid: process.pid,
      ...(own === undefined ? {} : { slurm: slurmLine(own, folder) }),
      ...(adminToken === undefined ? {} : { adminToken }),
      ...(accounts === undefined ? {} : { signIn: `${server.origin}/beamway/sign-in`, devAccounts: accounts.logins }),
    };
    const reload = async (): Promise<void> => {
      try {
        await server.reloadPolicy();
      } catch (cause) {
        log.error({ err: cause }, 'the policies on disk are refused; the set in force stays');
      }
    };
    return { line, reload, stop: unwind };
  } catch (cause) {
    await unwind();
    throw cause;
  }
}

/** Loaded here and only with --dev: nothing else may start a provider that anybody on this machine could reach. */
async function startAccounts(people: readonly DevAccount[]): Promise<DevIdentityProvider> {
  const { startDevIdentityProvider } = await import('./dev-identity-provider.ts');
  return startDevIdentityProvider(people);
}

function targetOf(settings: Settings, embedded: EmbeddedDatabase | undefined): DatabaseTarget {
  if (embedded !== undefined) return { embedded };
  const url = settings.databaseUrl ?? '';
  return settings.databasePasswordFile === undefined ? { url } : { url, passwordFile: settings.databasePasswordFile };
}

/** After a crash the port of before is taken again where it is free, so that clients that hold the URL find us. */
async function serve(
  settings: Settings,
  how: {
    readonly target: DatabaseTarget;
    readonly folder: FacilityFolder;
    readonly devProviders: readonly Provider[];
    readonly devAccounts: readonly DevAccount[];
    readonly samePort: number | undefined;
  },
): Promise<RunningServer> {
  const runAs = settings.dev ? undefined : unprivilegedUser();
  const options = {
    stateDir: settings.stateDir,
    clustersDir: join(serviceFolder(settings.stateDir), 'clusters'),
    facilityDir: settings.facilityDir,
    folder: how.folder,
    target: how.target,
    devProviders: how.devProviders,
    devAccounts: how.devAccounts,
    ...(settings.publicUrl === undefined ? {} : { publicUrl: settings.publicUrl }),
    limitFactor: settings.limitFactor,
    trustedProxies: settings.trustedProxies,
    logLevel: settings.logLevel,
    ...(runAs === undefined ? {} : { runAs }),
  };
  if (how.samePort !== undefined && (await portIsFree(settings.listen.host, how.samePort))) {
    return startServer({ ...options, listen: { host: settings.listen.host, port: how.samePort } });
  }
  return startServer({ ...options, listen: settings.listen });
}

async function portIsFree(host: string, port: number): Promise<boolean> {
  const { createServer } = await import('node:net');
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, host, () => probe.close(() => resolve(true)));
  });
}

async function startNodes(
  settings: Settings,
  server: RunningServer,
  undo: (() => Promise<unknown>)[],
): Promise<readonly NodeProcess[]> {
  const nodes: NodeProcess[] = [];
  const issued = new Set<string>();
  for (const node of server.facility.streamingNodes) {
    const stateDir = join(settings.stateDir, 'nodes', node.name);
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const { token, value } = await issueNodeBearer(server.issue, {
      name: node.name,
      lifetimeSeconds: BEARER_SECONDS,
      by: 'up',
    });
    issued.add(token.id);
    writeAside(join(stateDir, 'link.json'), { url: server.url, bearer: value });
    const { networks } = server.facility;
    const process = await startNodeProcess({
      name: node.name,
      stateDir,
      external: networks[node.external]?.address ?? '127.0.0.1',
      compute: networks[node.compute]?.address ?? '127.0.0.1',
      portRange: node.ports,
      logLevel: settings.logLevel,
      clock: systemClock,
    });
    undo.push(() => process.stop());
    nodes.push(process);
  }
  await allLinked(server, nodes.length);
  // The agents read the new bearer before each turn; those of earlier starts are of no more use to anybody honest.
  // A Slurm agent's was made by hand (`admin slurm-link`) and outlives us.
  for (const old of await tokensPage(server.issue.db, { kind: 'node', limit: 1000 }))
    if (old.revokedAt === null && !issued.has(old.id) && clusterOfAgent(old) === undefined)
      await server.revoke(old.id, 'up');
  return nodes;
}

/** Its first cluster on a Slurm; what the facility's folder says of nodes and slots is what that Slurm gets. */
function withSlurm(folder: FacilityFolder): FacilityFolder {
  const [first, ...others] = folder.facility.clusters;
  if (first === undefined) return folder;
  const slotsPerNode = first.scheduler === 'local' ? Math.max(...first.nodes.map((n) => n.slots)) : undefined;
  const onSlurm = {
    name: first.name,
    scheduler: 'slurm' as const,
    ...(slotsPerNode === undefined ? {} : { slotsPerNode }),
  };
  const clusters = [onSlurm, ...others];
  return { ...folder, facility: { ...folder.facility, clusters } };
}

function beginSlurm(settings: Settings, { facility }: FacilityFolder): Promise<OwnSlurm> {
  const [first] = facility.clusters;
  const declared = first?.scheduler === 'local' ? first.nodes : [];
  const started = startSlurm({
    folder: join(serviceFolder(settings.stateDir), 'slurm'),
    cluster: first?.name ?? 'local',
    facility,
    nodes: Math.max(1, declared.length),
    slotsPerNode: Math.max(1, ...declared.map((n) => n.slots)),
  });
  // Waited for later; a failure before that is told then.
  started.catch(() => undefined);
  return started;
}

/** Gives the way to end it. */
async function startAgent(
  server: RunningServer,
  slurm: OwnSlurm,
  { facility }: FacilityFolder,
): Promise<() => Promise<void>> {
  const cluster = facility.clusters[0]?.name ?? '';
  const { token, value } = await issueAgentBearer(server.issue, { cluster, lifetimeSeconds: BEARER_SECONDS, by: 'up' });
  const agent = await slurm.startAgent({ url: server.url, bearer: value });
  const until = systemClock.monotonic() + LINKED_WITHIN_MS;
  for (;;) {
    const nodes = await server.schedulers
      .get(cluster)
      ?.nodes()
      .catch(() => undefined);
    if (nodes !== undefined) break;
    if (systemClock.monotonic() > until) {
      await agent.stop();
      throw new Error(
        `the Slurm agent did not link within ${LINKED_WITHIN_MS / 1000} s; its log lies beside its settings in the state folder`,
      );
    }
    await new Promise<void>((resolve) => void systemClock.after(50, resolve));
  }
  for (const old of await tokensPage(server.issue.db, { kind: 'node', limit: 1000 }))
    if (old.revokedAt === null && old.id !== token.id && clusterOfAgent(old) === cluster)
      await server.revoke(old.id, 'up');
  return () => agent.stop();
}

function slurmLine(slurm: OwnSlurm, { facility }: FacilityFolder): NonNullable<ReadyLine['slurm']> {
  const roots = Object.fromEntries([...facility.projects.keys()].map((project) => [project, slurm.rootOf(project)]));
  return { conf: slurm.conf, jobsRoot: slurm.jobsRoot, roots };
}

async function allLinked(server: RunningServer, count: number): Promise<void> {
  const { nodeRows, NODE_SILENT_MS } = await import('./streaming/index.ts');
  const until = systemClock.monotonic() + LINKED_WITHIN_MS;
  for (;;) {
    const now = systemClock.now();
    const linked = (await nodeRows(server.issue.db)).filter(
      (row) => row.last_seen_at !== null && now - row.last_seen_at.getTime() < NODE_SILENT_MS / 2,
    );
    if (linked.length >= count) return;
    if (systemClock.monotonic() > until)
      throw new Error(
        `${count - linked.length} data streaming node(s) did not link within ${LINKED_WITHIN_MS / 1000} s; see their log on stderr`,
      );
    await new Promise<void>((resolve) => void systemClock.after(50, resolve));
  }
}

function writeAside(path: string, value: object): void {
  writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
