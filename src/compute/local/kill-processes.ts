/**
 * Ends every process of an attempt. The process group first; then whatever left it (setsid, a daemon that forked twice)
 * but still carries the attempt's cookie in /proc/<pid>/environ. What escapes: a program that starts another with a
 * cleared environment in a new session. Only cgroups could catch that, and they need root or delegation.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { COOKIE_VARIABLE } from './attempt-files.ts';

const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 10;
/** A killed process may stay for a while in the kernel (a disk that does not answer); it holds no slot for ever. */
const ROUNDS = 300;

/** Sends `signal` to the group led by `leader`; false when no process of it is left. */
export function signalGroup(leader: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-leader, signal);
    return true;
  } catch {
    return false;
  }
}

/** Pids of the processes that carry `cookie`; those we may not look into are not ours. */
export function processesOf(cookie: string): readonly number[] {
  const mark = Buffer.from(`${COOKIE_VARIABLE}=${cookie}\0`);
  const found: number[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      if (readFileSync(`/proc/${pid}/environ`).includes(mark)) found.push(pid);
    } catch {
      // It ended meanwhile, or is another user's.
    }
  }
  return found;
}

/** Kills all that carries `cookie` until a look finds none; resolves to how many were killed. */
export async function killProcessesOf(cookie: string): Promise<number> {
  const killed = new Set<number>();
  for (let round = 0; round < ROUNDS; round++) {
    const found = processesOf(cookie);
    if (found.length === 0) break;
    for (const pid of found) {
      killed.add(pid);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone between the look and the kill.
      }
    }
    await pause(Math.min(FIRST_PAUSE_MS * 2 ** round, LONGEST_PAUSE_MS));
  }
  return killed.size;
}
