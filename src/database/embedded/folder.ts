/**
 * Folders of the embedded server: made with the owner and mode they must have, and looked at before they are trusted,
 * so that a folder which somebody else laid in our way is refused. Owns no state.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { EmbeddedError, hasCode } from './embedded-error.ts';
import type { OsUser } from './os-user.ts';
import type { FolderFacts } from './place.ts';

export function factsOf(path: string): FolderFacts | undefined {
  try {
    const { uid, gid, mode } = lstatSync(path);
    return { path, uid, gid, mode: mode & 0o7777 };
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Facts of every folder from / down to `path`, all by real path. */
export function chainOf(path: string): readonly FolderFacts[] {
  const real = realpathSync(path);
  const { uid, gid, mode } = lstatSync(real);
  const own = { path: real, uid, gid, mode: mode & 0o7777 };
  return real === '/' ? [own] : [...chainOf(dirname(real)), own];
}

/** Says what is wrong with a folder that must be `owner`'s and have no permission beyond `mode`; undefined when it is sound. */
export function faultOf(path: string, owner: OsUser, mode: number): string | undefined {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return `${path} is not a folder`;
  if (stat.uid !== owner.uid) return `${path} belongs to user ${stat.uid} instead of ${owner.name} (${owner.uid})`;
  if ((stat.mode & 0o777 & ~mode) !== 0)
    return `${path} has mode ${(stat.mode & 0o777).toString(8)}, at most ${mode.toString(8)} is safe`;
  return undefined;
}

/** Makes the folder, or checks the one that is there. Throws EmbeddedError when the one there is not to be trusted. */
export function ensureFolder(path: string, owner: OsUser, mode: number): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    const fault = faultOf(path, owner, mode);
    if (fault !== undefined) throw new EmbeddedError(`${fault}: move it away or give it back`);
    return;
  }
  if (process.getuid?.() === 0) chownSync(path, owner.uid, owner.gid);
  chmodSync(path, mode);
  syncFolder(dirname(path));
}

export function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Replaces a file in one step that outlives a power cut: a new file beside it, synced, renamed over it. */
export function replaceFile(path: string, text: string, mode: number): void {
  const fresh = join(dirname(path), `.${process.pid}-${Math.random().toString(36).slice(2)}.new`);
  const fd = openSync(fresh, 'wx', mode);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  chmodSync(fresh, mode);
  renameSync(fresh, path);
  syncFolder(dirname(path));
}
