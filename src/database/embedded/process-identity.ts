/**
 * Which processes belong to a server: when one began and where it works, beyond what every room asks (process-identity.ts at the root of
 * src, proc(5)). PostgreSQL and all its backends work in their data folder. Linux only. Owns no state.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { identityOf, type ProcessIdentity } from '../../process-identity.ts';

export {
  identityOf,
  isAlive,
  type ProcessIdentity,
  parseProcessStat,
  signalProcess,
  thisBoot as bootId,
} from '../../process-identity.ts';

/** Clock ticks per second in /proc; fixed at 100 for user space on every Linux port that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Start of a living process in ticks since boot; undefined when there is none, or only a zombie. */
export function startTicksOf(pid: number): number | undefined {
  return identityOf(pid)?.startTicks;
}

/** Start of a living process in seconds since the Unix epoch, exact to about a second. */
export function startSecondsOf(pid: number): number | undefined {
  const ticks = startTicksOf(pid);
  const boot = /^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1];
  return ticks === undefined || boot === undefined ? undefined : Number(boot) + ticks / TICKS_PER_SECOND;
}

/** Working folder of a process; undefined when it is gone or belongs to somebody else. */
export function workingFolderOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}

/** Every living process that works in `folder` (a real path). */
export function processesIn(folder: string): readonly ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && workingFolderOf(Number(name)) === folder)
    .flatMap((name) => identityOf(Number(name)) ?? []);
}
