/**
 * Makes the data folder once: initdb works in a draft folder which is renamed into place when all of it is on disk.
 * A draft that a crash left is thrown away; data that exist are never touched.
 */
import { spawn } from 'node:child_process';
import { chownSync, lstatSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SUPERUSER } from './configuration.ts';
import { EmbeddedError } from './embedded-error.ts';
import { type Binaries, SERVER_ENVIRONMENT } from './find-binaries.ts';
import { syncFolder } from './folder.ts';
import { type OsUser, runAs } from './os-user.ts';
import { processesIn, signalProcess } from './process-identity.ts';

const DRAFT_PREFIX = 'data.draft-';

/** Major version of the data in `folder`; null when there is no such folder. Throws EmbeddedError for anything else. */
export function majorOfData(folder: string): number | null {
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isDirectory()) throw new EmbeddedError(`${folder} is not a folder: move it away`);
  try {
    const major = Number.parseInt(readFileSync(join(folder, 'PG_VERSION'), 'utf8'), 10);
    if (Number.isInteger(major)) return major;
  } catch {}
  throw new EmbeddedError(`${folder} holds no PostgreSQL data (PG_VERSION is missing): restore it or move it away`);
}

export interface ClusterOptions {
  readonly user: OsUser;
  /** Whether all of it is on disk before it counts as made; false in tests only. */
  readonly durable: boolean;
}

/** Runs initdb as `user` and puts the result at `base`/data, which must not exist. */
export async function initialiseCluster(base: string, binaries: Binaries, as: ClusterOptions): Promise<void> {
  const { user, durable } = as;
  removeDrafts(base);
  const draft = mkdtempSync(join(base, DRAFT_PREFIX));
  if (process.getuid?.() === 0) chownSync(draft, user.uid, user.gid);
  const options = ['-U', SUPERUSER, '-A', 'peer', '-E', 'UTF8', '--no-locale', '--data-checksums', '--no-instructions'];
  if (!durable) options.push('--no-sync');
  await runInitdb(join(binaries.binFolder, 'initdb'), ['-D', draft, ...options], { user, folder: draft });
  renameSync(draft, join(base, 'data'));
  syncFolder(base);
}

function removeDrafts(base: string): void {
  for (const name of readdirSync(base).filter((n) => n.startsWith(DRAFT_PREFIX))) {
    const draft = join(base, name);
    // An initdb whose starter was killed may go on: it and its bootstrap server work in the draft folder.
    for (const process of processesIn(draft)) signalProcess(process, 'SIGKILL');
    rmSync(draft, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

/** It works in `folder`, so that a later start finds it by that if we die meanwhile. */
function runInitdb(program: string, args: readonly string[], as: { user: OsUser; folder: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...runAs(as.user),
      cwd: as.folder,
      env: SERVER_ENVIRONMENT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) return resolve();
      reject(new EmbeddedError(`initdb ended with ${code}: ${output.trim().split('\n').slice(-3).join(' / ')}`));
    });
  });
}
