/**
 * The verb `backup`: all state of one system, running or not, into a new folder. Rows are of one moment; files (keys, audit checkpoints, the local clusters' jobs) are
 * copied after them, so that every key a row needs is there. The manifest is written last: without it there is no backup.
 */
import { type Dirent, existsSync, lstatSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { CommandError } from '../clients/typescript/src/cli/index.ts';
import { BackupError, DATABASE_FOLDER, FILES_FOLDER, fileDigest, MANIFEST, type Manifest } from './backup.ts';
import { systemClock } from './clock.ts';
import { dumpDatabase } from './database/index.ts';
import { withDatabaseOf } from './reach-database.ts';
import { serviceFolder } from './state-folder.ts';

/** Below the state folder. What is left out is made anew: sockets, locks, node leases (the nodes are told again), the database's own files. */
const STATE_FOLDERS = ['keys', 'audit'] as const;
const LEFT_OUT = /^(lock\.\d+|runners\.log|runner-cache|claims\.json)$/;

export interface BackupWish {
  readonly stateDir: string;
  readonly to: string;
  /** The facility folder to keep beside it. */
  readonly facilityDir?: string;
}

export interface BackupReport {
  readonly to: string;
  readonly madeAt: string;
  readonly tables: number;
  readonly rows: number;
  readonly files: number;
}

/** Throws CommandError where `to` is there already, and what the database or the disk says; a backup that was not finished has no manifest. */
export async function backupState(wish: BackupWish): Promise<BackupReport> {
  const to = resolve(wish.to);
  const state = resolve(wish.stateDir);
  if (existsSync(to) && readdirSync(to).length > 0) throw new CommandError(`${to} is not empty: name a new folder`);
  mkdirSync(join(to, DATABASE_FOLDER), { recursive: true, mode: 0o700 });
  mkdirSync(join(to, FILES_FOLDER), { recursive: true, mode: 0o700 });
  const madeAt = new Date(systemClock.now()).toISOString();
  const database = await withDatabaseOf(state, ({ target }) => dumpDatabase(target, join(to, DATABASE_FOLDER)));
  const files: Manifest['files'] = [];
  const keep = async (root: string, below: string): Promise<void> => {
    for (const path of regularFiles(root))
      files.push(await keepFile(join(root, path), join(to, FILES_FOLDER), join(below, path)));
  };
  for (const folder of STATE_FOLDERS) await keep(join(state, folder), folder);
  await keep(join(serviceFolder(state), 'clusters'), 'clusters');
  if (wish.facilityDir !== undefined) await keep(resolve(wish.facilityDir), 'facility');
  const manifest: Manifest = { format: 1, madeAt, database, files };
  writeFileSync(join(to, `${MANIFEST}.new`), `${JSON.stringify(manifest, null, 1)}\n`, { mode: 0o600 });
  renameSync(join(to, `${MANIFEST}.new`), join(to, MANIFEST));
  const rows = database.tables.reduce((sum, t) => sum + t.rows, 0);
  return { to, madeAt, tables: database.tables.length, rows, files: files.length };
}

/** Relative paths; no links, no sockets. An absent folder has none. */
function regularFiles(root: string): readonly string[] {
  if (!existsSync(root)) return [];
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  const path = (e: Dirent): string => relative(root, join(e.parentPath, e.name));
  return entries
    .filter((e) => e.isFile())
    .map(path)
    .filter((p) => !p.split('/').some((part) => LEFT_OUT.test(part)))
    .sort();
}

/** A file that changes while it is copied is kept as it was copied: its digest is the copy's. */
async function keepFile(from: string, root: string, path: string): Promise<Manifest['files'][number]> {
  const to = join(root, path);
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  const { mode } = lstatSync(from);
  try {
    await copyFile(from, to);
  } catch (cause) {
    throw new BackupError(`${from} cannot be read`, { cause });
  }
  return { path, sha256: await fileDigest(to), mode: mode & 0o777 };
}
