/**
 * The folders of the jobs: `jobs/<id>/{job.json, script, claims.json, work/, attempt-<n>/}`. A job exists once its
 * job.json does: that rename is what a submit acknowledges. Folders are 0700; when jobs run as another user they are
 * 0711 and root's, with only work/, the script and the streams given to that user.
 */
import { chmod, chown, mkdir, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { SchedulerJobSpec, StreamClaim } from '../scheduler.ts';
import { type AttemptOrder, attemptPaths, type ClaimsFile } from './attempt-files.ts';
import { type Owner, readJson, saveFile, syncFolder } from './durable-file.ts';
import { type JobRecord, parseJobRecord } from './job-record.ts';

export interface JobFolders {
  readonly root: string;
  readonly runAs: Owner | undefined;
}

const folderMode = (folders: JobFolders): number => (folders.runAs === undefined ? 0o700 : 0o711);
const ownedBy = (folders: JobFolders) => (folders.runAs === undefined ? {} : { owner: folders.runAs });

export const jobFolder = (folders: JobFolders, nativeId: string): string => `${folders.root}/jobs/${nativeId}`;
export const scriptPath = (folders: JobFolders, nativeId: string): string => `${jobFolder(folders, nativeId)}/script`;
export const claimsPath = (folders: JobFolders, nativeId: string): string =>
  `${jobFolder(folders, nativeId)}/claims.json`;
export const workFolder = (folders: JobFolders, nativeId: string): string => `${jobFolder(folders, nativeId)}/work`;
export const attemptFolder = (folders: JobFolders, nativeId: string, attempt: number): string =>
  `${jobFolder(folders, nativeId)}/attempt-${attempt}`;

/** Makes the folder of all jobs, and says in advance what would keep another user from running in it. */
export async function prepareFolders(folders: JobFolders): Promise<void> {
  await mkdir(`${folders.root}/jobs`, { recursive: true, mode: folderMode(folders) });
  const { runAs } = folders;
  if (runAs === undefined) return;
  await chmod(folders.root, folderMode(folders));
  for (let path = await realpath(folders.root); path !== '/'; path = dirname(path)) {
    const { mode, uid, gid } = await stat(path);
    const may = uid === runAs.uid ? mode & 0o100 : gid === runAs.gid ? mode & 0o010 : mode & 0o001;
    if (may === 0)
      throw new Error(`user ${runAs.uid} cannot enter ${path}, so no job could run; choose another state folder`);
  }
}

/** Durable on return. Whatever goes wrong, nothing of the job is left and the error is thrown. */
export async function createJob(folders: JobFolders, record: JobRecord, spec: SchedulerJobSpec): Promise<void> {
  const folder = jobFolder(folders, record.nativeId);
  await mkdir(folder, { mode: folderMode(folders) });
  try {
    const work = workFolder(folders, record.nativeId);
    await mkdir(work, { mode: 0o700 });
    if (folders.runAs !== undefined) await chown(work, folders.runAs.uid, folders.runAs.gid);
    await saveFile(scriptPath(folders, record.nativeId), spec.script, { mode: 0o500, ...ownedBy(folders) });
    if (spec.claims.length > 0) await saveClaims(folders, record.nativeId, spec.claims);
    await saveRecord(folders, record);
    await syncFolder(`${folders.root}/jobs`);
  } catch (error) {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

export function saveRecord(folders: JobFolders, record: JobRecord): Promise<void> {
  return saveFile(`${jobFolder(folders, record.nativeId)}/job.json`, JSON.stringify(record));
}

export function saveClaims(folders: JobFolders, nativeId: string, claims: readonly StreamClaim[]): Promise<void> {
  const file: ClaimsFile = { claims };
  return saveFile(claimsPath(folders, nativeId), JSON.stringify(file));
}

/** Once a job has ended its secrets are of no use to anybody. */
export async function removeSecrets(folders: JobFolders, record: JobRecord): Promise<void> {
  await rm(claimsPath(folders, record.nativeId), { force: true });
  for (const { attempt } of record.attempts) {
    await rm(attemptPaths(attemptFolder(folders, record.nativeId, attempt)).streams, { force: true });
  }
}

/** Not synced: an attempt that a power cut took was not running either. */
export async function createAttempt(folders: JobFolders, nativeId: string, order: AttemptOrder): Promise<string> {
  const folder = attemptFolder(folders, nativeId, order.attempt);
  await mkdir(folder, { mode: folderMode(folders) });
  await writeFile(attemptPaths(folder).order, JSON.stringify(order), { mode: 0o600, flag: 'wx' });
  return folder;
}

/** All jobs, oldest first. A folder without job.json was never acknowledged and is removed. Throws, naming the file, when one is damaged. */
export async function loadRecords(folders: JobFolders): Promise<readonly JobRecord[]> {
  const records: JobRecord[] = [];
  for (const entry of await readdir(`${folders.root}/jobs`)) {
    const folder = `${folders.root}/jobs/${entry}`;
    try {
      const value = await readJson(`${folder}/job.json`);
      if (value === undefined) await rm(folder, { recursive: true, force: true });
      else records.push(parseJobRecord(value));
    } catch (error) {
      throw new Error(`${folder}/job.json cannot be read; move the folder away to go on without that job`, {
        cause: error,
      });
    }
  }
  return records.sort((a, b) => a.serial - b.serial);
}
