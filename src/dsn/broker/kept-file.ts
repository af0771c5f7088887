/** Small files of a broker's folder that outlive the agent: its secrets, its ports, who its processes are. 0600, replaced whole. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

export const identitySchema = z.strictObject({ pid: z.int(), startTicks: z.int(), bootId: z.string() });

/** Undefined where there is none, or it cannot be read: what it told is then made anew. */
export function readKept<T>(path: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined;
  }
}

export function keep(path: string, value: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
