/**
 * The form of a backup: a folder (mode 0700) with `manifest.json`, `database/` and `files/`. Every file stands in the manifest with its SHA-256, so that what is
 * restored is what was backed up. It holds secrets (keys, digests of bearers): guard it like the state folder itself.
 */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { databaseDumpSchema } from './database/index.ts';

export const MANIFEST = 'manifest.json';
export const DATABASE_FOLDER = 'database';
export const FILES_FOLDER = 'files';

export const manifestSchema = z.strictObject({
  format: z.literal(1),
  madeAt: z.iso.datetime(),
  database: databaseDumpSchema,
  /** Paths below the state folder; `facility/…` are the facility's own. */
  files: z.array(z.strictObject({ path: z.string(), sha256: z.string(), mode: z.int() })),
});

export type Manifest = z.output<typeof manifestSchema>;

export class BackupError extends Error {
  override readonly name = 'BackupError';
}

/** Reads the manifest and checks every file against it. Throws BackupError naming the first that is missing or altered. */
export async function checkBackup(directory: string): Promise<Manifest> {
  let manifest: Manifest;
  try {
    manifest = manifestSchema.parse(JSON.parse(readFileSync(join(directory, MANIFEST), 'utf8')));
  } catch (cause) {
    throw new BackupError(`${directory} holds no whole backup: its ${MANIFEST} cannot be read`, { cause });
  }
  const expected = [
    ...manifest.database.tables.map((t) => ({ path: join(DATABASE_FOLDER, t.file), sha256: t.sha256 })),
    ...manifest.files.map((f) => ({ path: join(FILES_FOLDER, f.path), sha256: f.sha256 })),
  ];
  for (const { path, sha256 } of expected) {
    const found = await fileDigest(join(directory, path)).catch(() => undefined);
    if (found === undefined) throw new BackupError(`${path} is missing from the backup`);
    if (found !== sha256) throw new BackupError(`${path} is not what was backed up: its digest differs`);
  }
  return manifest;
}

/** SHA-256, hex. */
export async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
