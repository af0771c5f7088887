/**
 * A process named so that it cannot be mistaken for a later one with the same number: pid and start time (field 22 of /proc/PID/stat, in
 * clock ticks since boot). Used wherever we adopt or end something that an earlier run of ours started.
 */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: string;
}

/** Undefined where there is no such process, or it is a zombie: a zombie is dead. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The command name, in parentheses, may hold anything; the fields after its end are fixed: state is the first of them.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTicks = fields[19];
  return fields[0] === 'Z' || startTicks === undefined ? undefined : { pid, startTicks };
}

export function isAlive(process: ProcessIdentity): boolean {
  return identityOf(process.pid)?.startTicks === process.startTicks;
}

/** Signals that very process, or nobody. False where it is gone. */
export function signalProcess(target: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    return process.kill(target.pid, signal);
  } catch {
    return false;
  }
}
