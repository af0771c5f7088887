/**
 * Files that are whole or absent: written beside their place, synced, renamed. Synchronous forms are for the runner,
 * which has nothing else to do; the scheduler uses the asynchronous ones.
 */
import {
  closeSync,
  fchownSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface WriteOptions {
  /** Default 0600. */
  readonly mode?: number;
  readonly owner?: Owner;
  /** False for what means nothing after a power cut; it is still whole or absent. Default true. */
  readonly sync?: boolean;
}

let serial = 0;
const besides = (path: string): string => `${path}.${process.pid}.${++serial}.tmp`;

function writeWhole(path: string, text: string, options: WriteOptions): void {
  const file = openSync(path, 'wx', options.mode ?? 0o600);
  try {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    if (options.owner !== undefined) fchownSync(file, options.owner.uid, options.owner.gid);
    if (options.sync !== false) fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Replaces `path`; on return its content is on the disk, unless `sync` is false. */
export function writeFileDurably(path: string, text: string, options: WriteOptions = {}): void {
  const temporary = besides(path);
  writeWhole(temporary, text, options);
  renameSync(temporary, path);
}

/** Creates `path` with its whole content, or returns false because it exists: exactly one of many callers wins. */
export function createFileOnce(path: string, text: string, options: WriteOptions = {}): boolean {
  const temporary = besides(path);
  writeWhole(temporary, text, options);
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    unlinkSync(temporary);
  }
}

/** Replaces `path`; resolves when its content is on the disk and its name in the folder. */
export async function saveFile(path: string, text: string, options: WriteOptions = {}): Promise<void> {
  const temporary = besides(path);
  const file = await open(temporary, 'wx', options.mode ?? 0o600);
  try {
    await file.writeFile(text);
    if (options.owner !== undefined) await file.chown(options.owner.uid, options.owner.gid);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(path.slice(0, path.lastIndexOf('/')));
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The parsed file, or undefined when there is none. Other errors, bad JSON too, are thrown. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export function readJsonNow(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
