/** What the JSON files of a state folder say, for `up` and the verbs that work on a folder beside it. Owns no state. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Undefined where there is no such file, or what it holds is no JSON. */
export function readStateFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Where files lie that other users than us must reach (jobs of root's run as nobody): the state folder, or, where that cannot be passed by
 * others, the place that the database's room chose for its own service folders.
 */
export function serviceFolder(stateDir: string): string {
  const chosen = readStateFile(join(stateDir, 'database.json')) as { readonly elsewhere?: string | null } | undefined;
  return chosen?.elsewhere ?? stateDir;
}
