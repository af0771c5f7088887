/**
 * What a state folder leaves behind when it is deleted while its server's place is elsewhere (root's services): an old
 * server for the same path is ended at the next start, its data are kept and named. Also removes all of a state's
 * database on demand.
 */
import { existsSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '../../clock.ts';
import type { DatabaseLog } from '../log.ts';
import { until } from '../wait.ts';
import type { SettledPlace, SiteOptions } from './choose-site.ts';
import { faultOf } from './folder.ts';
import { takeLock } from './lock.ts';
import { ourUser } from './os-user.ts';
import { placePrefix } from './place.ts';
import { livingPostmaster } from './postmaster-file.ts';
import { isAlive, processesIn, signalProcess } from './process-identity.ts';
import { readRecord } from './record.ts';

const END_PATIENCE_MS = 20_000;

/** Ends servers of earlier states at this path; their state folder was deleted, so nobody else would. */
export async function endLeftovers(place: SettledPlace, options: SiteOptions): Promise<void> {
  const { base, record, us } = place;
  if (record.elsewhere === null) return;
  const root = dirname(base);
  const prefix = placePrefix(options.stateDir);
  for (const name of readdirSync(root).filter((n) => n.startsWith(prefix) && join(root, n) !== base)) {
    const old = join(root, name);
    if (faultOf(old, us, 0o711) !== undefined) continue;
    options.log.warn(
      { folder: old },
      'database: data of an earlier state at this path; delete them if nobody wants them',
    );
    await endServerIn(join(old, 'data'), options.clock);
  }
}

/** Ends the server of a state and deletes its data wherever they are. Throws EmbeddedError when a supervisor runs. */
export async function removeEmbedded(options: { stateDir: string; clock: Clock; log: DatabaseLog }): Promise<void> {
  if (!existsSync(join(options.stateDir, 'database'))) return;
  const stateDir = realpathSync(options.stateDir);
  const beside = join(stateDir, 'database');
  const lock = takeLock(beside);
  try {
    const record = readRecord(stateDir);
    const base = record?.elsewhere ?? beside;
    if (existsSync(base) && faultOf(base, ourUser(), 0o711) === undefined) {
      await endServerIn(join(base, 'data'), options.clock);
      rmSync(base, { recursive: true, force: true, maxRetries: 5 });
    }
    if (record?.socketFolder != null) rmSync(record.socketFolder, { recursive: true, force: true });
    rmSync(join(stateDir, 'database.json'), { force: true });
    options.log.info({ folder: base }, 'database: data removed');
  } finally {
    if (existsSync(beside)) lock.release();
  }
  rmSync(beside, { recursive: true, force: true });
}

async function endServerIn(dataFolder: string, clock: Clock): Promise<void> {
  const living = livingPostmaster(dataFolder);
  if (living === undefined) return;
  signalProcess(living.process, 'SIGINT');
  const gone = await until({ clock, timeoutMs: END_PATIENCE_MS }, () => (isAlive(living.process) ? undefined : true));
  if (gone === undefined) for (const process of processesIn(dataFolder)) signalProcess(process, 'SIGKILL');
}
