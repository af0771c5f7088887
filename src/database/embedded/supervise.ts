/**
 * Supervises the embedded PostgreSQL of one state folder: adopts the server that an earlier supervisor left or begins
 * one, begins it again whenever it dies, and ends it when told. State: the lock, the present server, the pending restart.
 */
import { chmodSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../wait.ts';
import { chooseSite, type SiteOptions, settlePlace } from './choose-site.ts';
import { APPLICATION_ROLE, DATABASE_NAME, OWNER_ROLE } from './configuration.ts';
import { EmbeddedError } from './embedded-error.ts';
import { ensureFolder } from './folder.ts';
import { endLeftovers } from './leftovers.ts';
import { takeLock } from './lock.ts';
import { makeRoles } from './make-roles.ts';
import { ourUser } from './os-user.ts';
import { SOCKET_PORT } from './place.ts';
import { awaitReady, beginServer, clearRemains, endServer, type RunningServer, type ServerSite } from './postmaster.ts';
import { livingPostmaster } from './postmaster-file.ts';
import { isAlive, signalProcess } from './process-identity.ts';

export type EmbeddedOptions = SiteOptions;

/** How to reach a database over a unix socket. */
export interface SocketConnection {
  /** Folder of the socket. */
  readonly host: string;
  /** Names the socket only; no TCP port is open. */
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

export interface EmbeddedDatabase {
  /** As the application's role, which owns no table. */
  readonly connection: SocketConnection;
  /** As the role that owns the tables and migrates. */
  readonly ownerConnection: SocketConnection;
  /** Process number of the present server. */
  pid(): number;
  /** Whether the running server was adopted from an earlier supervisor. */
  readonly adopted: boolean;
  /** Calls back after every restart with the new process number; the returned function ends that. */
  onRestart(listener: (pid: number) => void): () => void;
  /** Ends the server in order (open transactions are rolled back) and lets go of the state folder. */
  stop(): Promise<void>;
  /** Lets go of the state folder and leaves the server running for the next supervisor. */
  leave(): Promise<void>;
}

/** Attempts at one start while remains of an earlier server are in the way; each waits longer, 12 s in all. */
const START_ATTEMPTS = 10;
const IN_THE_WAY = /lock file|shared memory block|could not bind/;
/** Attempts at a start that fails for another reason. */
const HOPELESS_ATTEMPTS = 3;
const FIRST_BACK_OFF_MS = 50;
const LONGEST_BACK_OFF_MS = 5_000;
/** How often an adopted server, which is not our child, is looked at. */
const WATCH_EVERY_MS = 250;
/** How long backends of a killed server may take to notice before they are killed too. */
const REMAINS_PATIENCE_MS = 3_000;

/**
 * Starts or adopts the server of `stateDir` (made if absent). Throws EmbeddedError, whose message says what to do:
 * no or unfitting binaries, a folder that is not to be trusted, another supervisor, a server that does not come up.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedDatabase> {
  if (process.platform !== 'linux')
    throw new EmbeddedError('the embedded PostgreSQL runs on Linux only: use an external one by URL');
  mkdirSync(options.stateDir, { recursive: true, mode: 0o711 });
  const stateDir = realpathSync(options.stateDir);
  const lockFolder = join(stateDir, 'database');
  ensureFolder(lockFolder, ourUser(), 0o711);
  chmodSync(lockFolder, 0o711);
  const locks = [takeLock(lockFolder)];
  const release = (): void => {
    for (const lock of locks) lock.release();
  };
  try {
    const settled = settlePlace({ ...options, stateDir });
    // A copied state folder has the same record: the second one must not run the data of the first.
    if (settled.base !== lockFolder) locks.push(takeLock(settled.base));
    await endLeftovers(settled, { ...options, stateDir });
    const site = await chooseSite(settled, { ...options, stateDir });
    const first = await adoptOrBegin(site, options, () => true);
    try {
      await makeRoles(site.socketFolder);
    } catch (error) {
      if (!first.adopted) await endServer(site, first.server.process);
      throw error;
    }
    return supervise({ site, options, release }, first);
  } catch (error) {
    release();
    throw error;
  }
}

interface Supervised {
  readonly site: ServerSite;
  readonly options: EmbeddedOptions;
  readonly release: () => void;
}

function supervise(
  { site, options, release }: Supervised,
  first: { server: RunningServer; adopted: boolean },
): EmbeddedDatabase {
  const { clock, log } = options;
  const listeners = new Set<(pid: number) => void>();
  let server = first.server;
  let watching = true;
  let cancelWatch = (): void => {};
  let restarting: Promise<void> = Promise.resolve();

  const died = (): void => {
    if (!watching) return;
    log.error({ pid: server.process.pid }, 'database: the server died, beginning it again');
    restarting = restart();
  };
  const restart = async (): Promise<void> => {
    for (let backOffMs = FIRST_BACK_OFF_MS; watching; backOffMs = Math.min(backOffMs * 2, LONGEST_BACK_OFF_MS)) {
      try {
        server = (await adoptOrBegin(site, options, () => watching)).server;
        if (!watching) return;
        watch();
        log.warn({ pid: server.process.pid }, 'database: the server runs again');
        for (const listener of listeners) listener(server.process.pid);
        return;
      } catch (error) {
        log.error({ error: String(error), againInMs: backOffMs }, 'database: the server does not come up');
        await pause(clock, backOffMs);
      }
    }
  };
  const watch = (): void => {
    const { child, process: watched } = server;
    if (child !== undefined) {
      if (child.exitCode !== null || child.signalCode !== null) died();
      else child.once('exit', died);
      cancelWatch = () => void child.off('exit', died);
      return;
    }
    const look = (): void => {
      if (!isAlive(watched)) died();
      else cancelWatch = clock.after(WATCH_EVERY_MS, look);
    };
    look();
  };
  const letGo = async (): Promise<void> => {
    watching = false;
    cancelWatch();
    await restarting;
  };

  watch();
  const at = { host: site.socketFolder, port: SOCKET_PORT, database: DATABASE_NAME };
  return {
    connection: { ...at, user: APPLICATION_ROLE },
    ownerConnection: { ...at, user: OWNER_ROLE },
    adopted: first.adopted,
    pid: () => server.process.pid,
    onRestart(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async stop() {
      if (!watching) return;
      await letGo();
      await endServer(site, server.process);
      release();
      log.info({ pid: server.process.pid }, 'database: the server has ended');
    },
    async leave() {
      if (!watching) return;
      await letGo();
      server.child?.unref();
      release();
    },
  };
}

/**
 * The server that already runs in this place, or a new one. Tries again while remains of a killed server are in the way;
 * gives up early when it is no longer `wanted`.
 */
async function adoptOrBegin(
  site: ServerSite,
  options: EmbeddedOptions,
  wanted: () => boolean,
): Promise<{ server: RunningServer; adopted: boolean }> {
  const { clock, log } = options;
  for (let attempt = 1, backOffMs = FIRST_BACK_OFF_MS; ; attempt++, backOffMs *= 2) {
    const adopted = await adopt(site);
    if (adopted !== undefined) {
      log.info({ pid: adopted.process.pid }, 'database: adopted the running server');
      return { server: adopted, adopted: true };
    }
    await clearRemains(site, REMAINS_PATIENCE_MS);
    const began = clock.monotonic();
    try {
      const server = await beginServer(site);
      const tookMs = Math.round(clock.monotonic() - began);
      log.info({ pid: server.process.pid, major: site.binaries.major, tookMs }, 'database: the server runs');
      return { server, adopted: false };
    } catch (error) {
      const limit = IN_THE_WAY.test(String(error)) ? START_ATTEMPTS : HOPELESS_ATTEMPTS;
      if (attempt >= limit || !wanted()) throw error;
      log.warn({ attempt, error: String(error) }, 'database: the server did not start, trying again');
      await pause(clock, Math.min(backOffMs, 2_000));
    }
  }
}

/** The running server once it is ready; one on another socket, or one that is stopping, is ended. */
async function adopt(site: ServerSite): Promise<RunningServer | undefined> {
  const living = livingPostmaster(site.dataFolder);
  if (living === undefined) return undefined;
  const ready = living.file.status === 'stopping' ? undefined : await awaitReady(site, living.process);
  if (ready === undefined || livingPostmaster(site.dataFolder)?.file.socketFolder !== site.socketFolder) {
    await endServer(site, living.process);
    return undefined;
  }
  // The configuration was written anew; most of it is taken over without a restart.
  signalProcess(living.process, 'SIGHUP');
  return ready;
}
