/**
 * Who a process is, beyond its number: the start time of /proc/<pid>/stat (field 22, ticks since boot) and the boot's id.
 * A pid is given out again; the three together are not. Linux only. Used wherever we adopt or end what an earlier run of ours started.
 */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string;
}

let bootId: string | undefined;

/** Names this boot of the machine: nothing that ran in another one runs. */
export function thisBoot(): string {
  bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  return bootId;
}

/** Fields of /proc/PID/stat after the name, which is in parentheses and may itself hold any character, parentheses and blanks too. */
export function parseProcessStat(text: string): { readonly state: string; readonly startTicks: number } | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTicks = Number(fields[19]);
  if (state === undefined || fields[19] === undefined || !Number.isSafeInteger(startTicks)) return undefined;
  return { state, startTicks };
}

/** Undefined when there is no such process, or only its zombie is left: nobody may have reaped it yet. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const stat = parseProcessStat(text);
  if (stat === undefined || stat.state === 'Z' || stat.state === 'X') return undefined;
  return { pid, startTicks: stat.startTicks, bootId: thisBoot() };
}

export function isAlive(identity: ProcessIdentity): boolean {
  const now = identityOf(identity.pid);
  return now !== undefined && now.startTicks === identity.startTicks && now.bootId === identity.bootId;
}

/** Sends `signal` if the process is still the one meant; false when it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    return false;
  }
}
