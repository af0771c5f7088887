/**
 * Settles where and by whom the server of a state folder is run: reads or makes the record, makes and checks the
 * folders, finds binaries that fit the data, makes the data if there are none. Called under the supervisor's lock.
 */
import { chownSync, mkdtempSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Clock } from '../../clock.ts';
import type { DatabaseLog } from '../log.ts';
import { pgHbaConf, pgIdentConf, postgresqlConf } from './configuration.ts';
import { EmbeddedError } from './embedded-error.ts';
import { chooseBinaries, npmBinaries, systemBinaries } from './find-binaries.ts';
import { chainOf, ensureFolder, factsOf, faultOf, replaceFile } from './folder.ts';
import { initialiseCluster, majorOfData } from './initialise-cluster.ts';
import { type OsUser, ourUser, serviceUserFor } from './os-user.ts';
import { canTraverse, decidePlace, decideSocketFolder, SERVICES_ROOT, socketFits } from './place.ts';
import type { ServerSite } from './postmaster.ts';
import { prepareBinaries } from './prepare-binaries.ts';
import { newStateId, type PlaceRecord, readRecord, writeRecord } from './record.ts';

export interface SiteOptions {
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: DatabaseLog;
  /** `auto`: the system's, else npm's; `npm` and `system` take only those. */
  readonly binaries?: 'auto' | 'npm' | 'system';
  /** Connections the server takes; 120 unless told. */
  readonly maxConnections?: number;
  /** Folder for services that root runs; /var/lib/beamway unless told. */
  readonly servicesRoot?: string;
  /** False for servers of tests only: nothing is synced to disk. */
  readonly durable?: boolean;
}

/** Where the server of this state is and by whom it is run. */
export interface SettledPlace {
  readonly record: PlaceRecord;
  readonly base: string;
  readonly us: OsUser;
  readonly user: OsUser;
}

/** Reads the record or decides and records anew; makes the folder that holds everything else. */
export function settlePlace(options: SiteOptions): SettledPlace {
  const { stateDir, servicesRoot = SERVICES_ROOT } = options;
  const us = ourUser();
  const service = serviceUserFor(us);
  const record = readRecord(stateDir) ?? freshRecord(stateDir, { us, service, servicesRoot });
  if (record.serviceUser !== service.name && record.dataMajor !== null) {
    const remedy = 'start as the user who made them';
    throw new EmbeddedError(
      `the data belong to ${record.serviceUser}, ${us.name} would run them as ${service.name}: ${remedy}`,
    );
  }
  const base = record.elsewhere ?? join(stateDir, 'database');
  if (record.elsewhere !== null) {
    ensureFolder(dirname(base), us, 0o755);
    ensureFolder(base, us, 0o711);
  }
  // Without root the server runs as ourselves, with our groups: what we can pass it can pass.
  const barrier = us.uid === 0 ? chainOf(base).find((folder) => !canTraverse(service, folder)) : undefined;
  if (barrier !== undefined) {
    throw new EmbeddedError(`${service.name} can no longer pass ${barrier.path}: chmod o+x ${barrier.path}`);
  }
  return { record: { ...record, serviceUser: service.name }, base, us, user: service };
}

/** Everything that must be there before the server can run; makes the data if the record says that there never were any. */
export async function chooseSite(place: SettledPlace, options: SiteOptions): Promise<ServerSite> {
  const { stateDir, clock, log, binaries: wanted = 'auto', servicesRoot = SERVICES_ROOT } = options;
  const { record, base, us, user } = place;
  const dataFolder = join(base, 'data');
  const dataMajor = majorOfData(dataFolder);
  if (dataMajor === null && record.dataMajor !== null) {
    const remedy = 'Restore it, or delete database.json to begin with no data';
    throw new EmbeddedError(`the data of this state are gone: ${dataFolder} does not exist. ${remedy}`);
  }
  const found = [...(wanted === 'npm' ? [] : systemBinaries()), ...(wanted === 'system' ? [] : npmBinaries())];
  const chosen = chooseBinaries(found, dataMajor);
  if (us.uid === 0 && chosen.source === 'npm') ensureFolder(servicesRoot, us, 0o755);
  const copiesFolder = us.uid === 0 ? join(servicesRoot, 'binaries') : join(base, 'binaries');
  const binaries = prepareBinaries(chosen, { us, user, copiesFolder });
  if (dataMajor === null) {
    const began = clock.monotonic();
    await initialiseCluster(base, binaries, { user, durable: options.durable ?? true });
    const tookMs = Math.round(clock.monotonic() - began);
    log.info({ folder: dataFolder, major: binaries.major, tookMs }, 'database: data folder made');
  }
  const fault = faultOf(dataFolder, user, 0o750);
  if (fault !== undefined) throw new EmbeddedError(`${fault}: give it back`);
  const socketFolder = settleSocketFolder(place, servicesRoot);
  writeConfiguration(base, { us, user, socketFolder, options });
  writeRecord(stateDir, { ...record, socketFolder, dataMajor: dataMajor ?? binaries.major });
  return { base, dataFolder, socketFolder, binaries, user, clock };
}

/** Decides the place and records it before anything is made there. */
function freshRecord(stateDir: string, who: { us: OsUser; service: OsUser; servicesRoot: string }): PlaceRecord {
  const stateId = newStateId();
  const place = decidePlace({ ...who, chain: chainOf(stateDir), stateId });
  const record = {
    version: 1,
    stateId,
    ...place,
    socketFolder: null,
    serviceUser: who.service.name,
    dataMajor: null,
  } as const;
  writeRecord(stateDir, record);
  return record;
}

/** /run/user/UID when it is there and private, as systemd-logind makes it. */
function runtimeFolderOf(us: OsUser): string | null {
  const path = `/run/user/${us.uid}`;
  return factsOf(path) !== undefined && faultOf(path, us, 0o700) === undefined ? path : null;
}

/** A folder of the server's user alone, with a path short enough. One in the temporary directory has a name nobody can foretell. */
function settleSocketFolder({ record, base, us, user }: SettledPlace, servicesRoot: string): string {
  const folder = decideSocketFolder(base, us.uid === 0 ? servicesRoot : runtimeFolderOf(us), record.stateId);
  if (folder !== null) {
    if (dirname(folder) === servicesRoot) ensureFolder(servicesRoot, us, 0o755);
    ensureFolder(folder, user, 0o700);
    return folder;
  }
  const last = record.socketFolder;
  if (last !== null && factsOf(last) !== undefined && faultOf(last, user, 0o700) === undefined && socketFits(last))
    return last;
  const fresh = mkdtempSync(join(realpathSync(tmpdir()), 'beamway-'));
  if (us.uid === 0) chownSync(fresh, user.uid, user.gid);
  if (!socketFits(fresh)) throw new EmbeddedError(`${fresh} is too long for a socket: set TMPDIR to a shorter folder`);
  return fresh;
}

function writeConfiguration(
  base: string,
  settled: { us: OsUser; user: OsUser; socketFolder: string; options: SiteOptions },
): void {
  const { us, user, socketFolder, options } = settled;
  const folder = join(base, 'configuration');
  ensureFolder(folder, us, 0o755);
  const root: OsUser = { name: 'root', uid: 0, gid: 0 };
  const settings = {
    stateDir: options.stateDir,
    socketFolder,
    maxConnections: options.maxConnections ?? 120,
    durable: options.durable ?? true,
  };
  replaceFile(join(folder, 'postgresql.conf'), postgresqlConf(settings), 0o644);
  replaceFile(join(folder, 'pg_hba.conf'), pgHbaConf, 0o644);
  replaceFile(join(folder, 'pg_ident.conf'), pgIdentConf([us, root, user]), 0o644);
}
