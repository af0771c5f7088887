/**
 * The file postmaster.pid of a running server, and whether the process it names is that server: it must work in the
 * very data folder and have begun when the file says. Owns no state.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf, type ProcessIdentity, startSecondsOf, workingFolderOf } from './process-identity.ts';

export interface PostmasterFile {
  readonly pid: number;
  readonly dataFolder: string;
  /** Seconds since the Unix epoch. */
  readonly startSeconds: number;
  readonly port: number;
  readonly socketFolder: string;
  /** `starting`, `stopping`, `ready` or `standby`; empty very early. */
  readonly status: string;
}

/** Lines as in miscadmin.h of PostgreSQL (LOCK_FILE_LINE_*); undefined when the file is incomplete. */
export function parsePostmasterFile(text: string): PostmasterFile | undefined {
  const [pid, dataFolder, startSeconds, port, socketFolder, , , status] = text.split('\n');
  if (!/^\d+$/.test(pid ?? '') || !/^\d+$/.test(startSeconds ?? '') || !dataFolder) return undefined;
  return {
    pid: Number(pid),
    dataFolder,
    startSeconds: Number(startSeconds),
    port: Number(port ?? 0),
    socketFolder: socketFolder ?? '',
    status: (status ?? '').trim(),
  };
}

export function readPostmasterFile(dataFolder: string): PostmasterFile | undefined {
  try {
    return parsePostmasterFile(readFileSync(join(dataFolder, 'postmaster.pid'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Seconds by which the start in the file and in /proc may differ: the file is written a little later, and the wall clock may be slewed. */
const START_TOLERANCE_SECONDS = 30;

/** The living server of this data folder with what its file says; undefined when there is none. */
export function livingPostmaster(
  dataFolder: string,
): { readonly process: ProcessIdentity; readonly file: PostmasterFile } | undefined {
  const file = readPostmasterFile(dataFolder);
  if (file === undefined || workingFolderOf(file.pid) !== dataFolder) return undefined;
  const process = identityOf(file.pid);
  const started = startSecondsOf(file.pid);
  if (process === undefined || started === undefined || Math.abs(started - file.startSeconds) > START_TOLERANCE_SECONDS)
    return undefined;
  return { process, file };
}
