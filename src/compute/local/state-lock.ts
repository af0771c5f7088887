/**
 * One scheduler per state folder. The lock is the highest of the files `lock.<n>`: who creates the next number while the
 * present holder is dead or has released it, holds. Nobody ever removes or replaces a lock that may be live, so two
 * takers of one stale lock cannot both win. Owns `lock.*` in the folder.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { identityOf, isAlive, type ProcessIdentity } from '../../process-identity.ts';
import { createFileOnce, readJsonNow, writeFileDurably } from './durable-file.ts';

type LockFile = ({ readonly kind: 'held' } & ProcessIdentity) | { readonly kind: 'released' };

export interface StateLock {
  release(): void;
}

function generations(folder: string): readonly number[] {
  const found: number[] = [];
  for (const name of readdirSync(folder)) {
    const match = /^lock\.(\d+)$/.exec(name);
    if (match !== null) found.push(Number(match[1]));
  }
  return found.sort((a, b) => b - a);
}

/** Undefined holder: free. Throws where a lock file cannot be read. */
function holder(folder: string, generation: number): ProcessIdentity | undefined {
  const lock = readJsonNow(`${folder}/lock.${generation}`) as LockFile | undefined;
  return lock?.kind === 'held' && isAlive(lock) ? lock : undefined;
}

export class StateFolderInUse extends Error {
  override readonly name = 'StateFolderInUse';
}

/** Throws StateFolderInUse when a live process, this one included, holds the folder. */
export function lockStateFolder(folder: string): StateLock {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const self = identityOf(process.pid);
  if (self === undefined) throw new Error('/proc does not show this process: the local scheduler needs Linux');
  for (;;) {
    const latest = generations(folder)[0] ?? 0;
    const held = latest === 0 ? undefined : holder(folder, latest);
    if (held !== undefined) throw new StateFolderInUse(`process ${held.pid} runs a scheduler on ${folder}`);
    const mine = latest + 1;
    const path = `${folder}/lock.${mine}`;
    const content: LockFile = { kind: 'held', ...self };
    if (!createFileOnce(path, JSON.stringify(content))) continue;
    // A slow taker may have revived a number that was passed meanwhile: the highest one counts.
    if ((generations(folder)[0] ?? 0) > mine) {
      rmSync(path, { force: true });
      continue;
    }
    for (const old of generations(folder)) if (old < mine) rmSync(`${folder}/lock.${old}`, { force: true });
    const released: LockFile = { kind: 'released' };
    return {
      release() {
        try {
          writeFileDurably(path, JSON.stringify(released));
        } catch {
          // The folder is gone or full: the lock is free as soon as this process is.
        }
      },
    };
  }
}
