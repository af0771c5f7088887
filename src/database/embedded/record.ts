/**
 * The record `database.json` in the state folder: which place was chosen, by whom it is run and which major version its
 * data have. Written before the place is made, so that a place without a record is never taken for ours.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { EmbeddedError, hasCode } from './embedded-error.ts';
import { replaceFile } from './folder.ts';

const recordSchema = z.object({
  version: z.literal(1),
  /** Random hex, 16 digits: tells this state from an earlier one at the same path. */
  stateId: z.string().regex(/^[0-9a-f]{16}$/),
  /** Folder of data, configuration and log; null: `database/` in the state folder. */
  elsewhere: z.string().startsWith('/').nullable(),
  reason: z.enum(['beside-the-state', 'state-not-reachable', 'state-not-protected']),
  /** Folder of the socket at the last start. */
  socketFolder: z.string().startsWith('/').nullable(),
  serviceUser: z.string(),
  /** Major version of the data; null until they were made. From then on missing data are an error, not a fresh start. */
  dataMajor: z.number().int().nullable(),
});

export type PlaceRecord = z.infer<typeof recordSchema>;

const RECORD_NAME = 'database.json';

export function newStateId(): string {
  return randomBytes(8).toString('hex');
}

/** The record of a state folder; undefined when there is none. Throws EmbeddedError when it cannot be understood. */
export function readRecord(stateDir: string): PlaceRecord | undefined {
  const path = join(stateDir, RECORD_NAME);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new EmbeddedError(`${path} cannot be understood: restore it from a copy; it says where the data are`, {
      cause,
    });
  }
}

export function writeRecord(stateDir: string, record: PlaceRecord): void {
  replaceFile(join(stateDir, RECORD_NAME), `${JSON.stringify(record, null, 2)}\n`, 0o600);
}
