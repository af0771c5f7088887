/**
 * The keys under which TOTP secrets lie in the database: a 0600 file beside it, never in it, so that neither alone gives a code away.
 * Shape `{"current": ID, "keys": {ID: 32 bytes in base64}}`. A rotation adds a key and names it; secrets move to it as they are used.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { randomText } from '../../id.ts';

export interface FactorKeys {
  readonly current: string;
  readonly keys: ReadonlyMap<string, Buffer>;
}

const KEY_BYTES = 32;
const OTHERS = 0o077;

const fileSchema = z.strictObject({
  current: z.string(),
  keys: z.record(
    z.string().regex(/^[a-z0-9-]{1,40}$/),
    z.base64().refine((text) => Buffer.from(text, 'base64').length === KEY_BYTES, 'is not 32 bytes in base64'),
  ),
});

/** Reads the file, and makes it where there is none. Throws Error for one that others can read, or that is damaged: a new one would lose every TOTP secret. */
export function readFactorKeys(path: string): FactorKeys {
  return readKeys(path) ?? makeKeys(path);
}

function readKeys(path: string): FactorKeys | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if ((stat.mode & OTHERS) !== 0) throw new Error(`${path} can be read by others: chmod 600 ${path}`);
  const parsed = fileSchema.safeParse(json(path));
  if (!parsed.success || parsed.data.keys[parsed.data.current] === undefined)
    throw new Error(`${path} is no file of factor keys; put back the one of your backup`);
  const { current, keys } = parsed.data;
  return { current, keys: new Map(Object.entries(keys).map(([id, text]) => [id, Buffer.from(text, 'base64')])) };
}

/** The cause is kept out of the message: it could quote a key. */
function json(path: string): unknown {
  const text = readFileSync(path, 'utf8');
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Linked into place: of two that start at once, one makes the file and the other reads it. */
function makeKeys(path: string): FactorKeys {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const id = `key-${randomText(8)}`;
  const aside = `${path}.${process.pid}.${randomText(8)}`;
  const content = { current: id, keys: { [id]: randomBytes(KEY_BYTES).toString('base64') } };
  writeFileSync(aside, `${JSON.stringify(content)}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
  const made = readKeys(path);
  if (made === undefined) throw new Error(`${path} was made and is gone`);
  return made;
}
