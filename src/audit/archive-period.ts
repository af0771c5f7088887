/** Writes a period's records to a file before they are dropped: JSON Lines, 0600, whole or not at all. Owns the file while it is written. */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Queries } from '../database/index.ts';
import { recordsOfPeriod } from './prune-store.ts';
import { recordJson } from './record-json.ts';

const PAGE_RECORDS = 2000;

export interface Archived {
  readonly file: string;
  /** Of the file, hex. */
  readonly sha256: string;
}

export async function archivePeriod(
  db: Queries,
  folder: string,
  what: { readonly period: number; readonly first: number; readonly last: number },
): Promise<Archived> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = `audit-${what.first}-${what.last}.jsonl`;
  const aside = join(folder, `${name}.new`);
  rmSync(aside, { force: true });
  const file = openSync(aside, 'wx', 0o600);
  const sum = createHash('sha256');
  try {
    for (let after = what.first - 1; after < what.last; ) {
      const page = await recordsOfPeriod(db, what.period, { after, limit: PAGE_RECORDS });
      const last = page.at(-1);
      if (last === undefined) throw new Error(`the records behind ${after} are not there: nothing was dropped`);
      const text = page.map((record) => `${JSON.stringify(recordJson(record))}\n`).join('');
      sum.update(text);
      writeSync(file, text);
      after = last.sequence;
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(aside, join(folder, name));
  const entry = openSync(folder, 'r');
  try {
    fsyncSync(entry);
  } finally {
    closeSync(entry);
  }
  return { file: name, sha256: sum.digest('hex') };
}
