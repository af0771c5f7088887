/**
 * One supervisor per state folder. Lock files are numbered and never change owner: who wants the lock links the next
 * number, which succeeds for one contender only, and the highest number holds. A holder that died (its pid is gone,
 * began at another time or in another boot) or that let go no longer counts.
 */
import { linkSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EmbeddedError, hasCode } from './embedded-error.ts';
import { replaceFile } from './folder.ts';
import { identityOf, isAlive, type ProcessIdentity } from './process-identity.ts';

const LOCK_NAME = /^supervisor\.(\d+)\.lock$/;

export interface SupervisorLock {
  /** Lets go; safe to call twice. */
  release(): void;
}

/** The process that holds the lock of `folder`, if it lives. */
export function lockHolder(folder: string): ProcessIdentity | undefined {
  return look(folder).holder;
}

/** Takes the lock. Throws EmbeddedError when another living supervisor (this process included) holds it. */
export function takeLock(folder: string): SupervisorLock {
  const us = identityOf(process.pid);
  if (us === undefined)
    throw new EmbeddedError('/proc is not mounted: the embedded PostgreSQL needs it; use an external one by URL');
  for (;;) {
    const { highest, holder } = look(folder);
    if (holder !== undefined)
      throw new EmbeddedError(`${folder} is in use by process ${holder.pid}: stop that one first`);
    // One more than the very file that was found not to count: two contenders with the same view want the same number.
    const number = highest + 1;
    const path = join(folder, fileName(number));
    if (!linkNew(folder, path, us)) continue;
    // A number above ours means that our view was old: somebody took and dropped numbers in between.
    if (numbersIn(folder).at(-1) !== number) {
      rmSync(path, { force: true });
      continue;
    }
    for (const old of numbersIn(folder)) if (old < number) rmSync(join(folder, fileName(old)), { force: true });
    let held = true;
    return {
      release() {
        if (held) replaceFile(path, '{"released":true}\n', 0o600);
        held = false;
      },
    };
  }
}

/** The highest number, 0 for none, and its holder if that lives. */
function look(folder: string): { readonly highest: number; readonly holder: ProcessIdentity | undefined } {
  for (;;) {
    const highest = numbersIn(folder).at(-1) ?? 0;
    if (highest === 0) return { highest, holder: undefined };
    const holder = readHolder(join(folder, fileName(highest)));
    if (holder !== 'gone') return { highest, holder: holder !== undefined && isAlive(holder) ? holder : undefined };
  }
}

function fileName(number: number): string {
  return `supervisor.${number}.lock`;
}

function numbersIn(folder: string): readonly number[] {
  return readdirSync(folder)
    .flatMap((name) => LOCK_NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

function linkNew(folder: string, path: string, us: ProcessIdentity): boolean {
  const draft = join(folder, `.lock-draft-${process.pid}-${Math.random().toString(36).slice(2)}`);
  replaceFile(draft, `${JSON.stringify(us)}\n`, 0o600);
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** `gone`: the file was removed since it was listed, so a higher one is there. */
function readHolder(path: string): ProcessIdentity | 'gone' | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    const { pid, startTicks, bootId } = value as Partial<Record<keyof ProcessIdentity, unknown>>;
    if (typeof pid !== 'number' || typeof startTicks !== 'number' || typeof bootId !== 'string') return undefined;
    return { pid, startTicks, bootId };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    if (hasCode(error, 'ENOENT')) return 'gone';
    throw error;
  }
}
