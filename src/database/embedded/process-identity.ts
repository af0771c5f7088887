/**
 * Which process is meant, beyond its number: /proc tells when it began and where it works, so that a number which the
 * kernel gave out again is never mistaken for the old process (proc(5)). Linux only. Owns no state.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A process by number, its start in clock ticks since boot, and the boot it belongs to. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string;
}

/** Clock ticks per second in /proc; fixed at 100 for user space on every Linux port that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Fields of /proc/PID/stat after the name, which is in parentheses and may itself hold any character. */
export function parseProcessStat(text: string): { readonly state: string; readonly startTicks: number } | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const startTicks = Number(fields[19]);
  const state = fields[0];
  if (state === undefined || fields[19] === undefined || !Number.isSafeInteger(startTicks)) return undefined;
  return { state, startTicks };
}

/** Start of a living process in ticks since boot; undefined when there is none, or only a zombie. */
export function startTicksOf(pid: number): number | undefined {
  try {
    const stat = parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    return stat === undefined || stat.state === 'Z' || stat.state === 'X' ? undefined : stat.startTicks;
  } catch {
    return undefined;
  }
}

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

export function identityOf(pid: number): ProcessIdentity | undefined {
  const startTicks = startTicksOf(pid);
  return startTicks === undefined ? undefined : { pid, startTicks, bootId: bootId() };
}

export function isAlive(process: ProcessIdentity): boolean {
  return process.bootId === bootId() && startTicksOf(process.pid) === process.startTicks;
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

/** Every living process that works in `folder` (a real path). PostgreSQL and all its backends work in their data folder. */
export function processesIn(folder: string): readonly ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && workingFolderOf(Number(name)) === folder)
    .flatMap((name) => identityOf(Number(name)) ?? []);
}

/** Sends a signal if that very process still lives; true when it was sent. */
export function signalProcess(process: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(process)) return false;
  try {
    return globalThis.process.kill(process.pid, signal);
  } catch {
    return false;
  }
}
