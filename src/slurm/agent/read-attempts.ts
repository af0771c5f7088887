/**
 * Reads what the wrapper left of a job's attempts. The job's user owns these files, so nothing in them is believed beyond his own job: every path component is opened without
 * following links, sizes are bounded, and what cannot be read as meant is as good as absent.
 */
import { join } from 'node:path';
import { openBelow } from '../authority/safe-open.ts';
import { jobFolder } from './job-folder.ts';
import type { JobState } from './job-state.ts';

/** How the wrapper says an attempt ended. `ended`: by itself; that is final. `killed`: by a signal that may have been Slurm's. */
export type AttemptEnd = 'ended' | 'killed' | 'signalled' | 'time-limit' | 'unattached';

export interface FolderAttempt {
  readonly task?: number;
  readonly attempt: number;
  readonly submission: number;
  readonly nativeId: string;
  readonly nodes: readonly string[];
  readonly startedAtMs: number;
  readonly exit?: {
    readonly code: number;
    readonly how: AttemptEnd;
    readonly requeues: number;
    readonly atMs: number;
  };
}

const MOST_ATTEMPTS = 1000;
const LINE_BYTES = 65_536;

/** Of the job, or of one task of an array; oldest first. */
export async function readAttempts(root: string, state: JobState, task?: number): Promise<readonly FolderAttempt[]> {
  const folder = join(jobFolder(root, state), 'attempts');
  const below = task === undefined ? [] : [`t${task}`];
  const last = Number((await line(folder, [...below, 'last'], state)) ?? 0);
  if (!Number.isSafeInteger(last) || last < 1) return [];
  const attempts: FolderAttempt[] = [];
  for (let n = Math.max(1, last - MOST_ATTEMPTS + 1); n <= last; n++) {
    const started = parseStarted(await line(folder, [...below, String(n), 'started'], state));
    if (started === undefined) continue;
    const exit = parseExit(await line(folder, [...below, String(n), 'exit'], state));
    attempts.push({
      ...(task === undefined ? {} : { task }),
      attempt: n,
      ...started,
      ...(exit === undefined ? {} : { exit }),
    });
  }
  return attempts;
}

export function parseStarted(text: string | undefined): Omit<FolderAttempt, 'task' | 'attempt' | 'exit'> | undefined {
  const match = /^(\d{1,6}) (\d{1,10}) ([^\s]{1,60000}) (\d{9,11})\.(\d{1,9})$/.exec(text?.trim() ?? '');
  if (match === null) return undefined;
  const [, submission, nativeId = '', nodes = '', seconds, fraction = '0'] = match;
  return {
    submission: Number(submission),
    nativeId,
    nodes: nodes.split(',').slice(0, 10_000),
    startedAtMs: atMs(seconds, fraction),
  };
}

export function parseExit(text: string | undefined): FolderAttempt['exit'] {
  const match = /^(\d{1,3}) (ended|killed|signalled|time-limit|unattached) (\d{1,6}) (\d{9,11})\.(\d{1,9})$/.exec(
    text?.trim() ?? '',
  );
  if (match === null) return undefined;
  const [, code, how, requeues, seconds, fraction = '0'] = match;
  return {
    code: Number(code),
    how: how as AttemptEnd,
    requeues: Number(requeues),
    atMs: atMs(seconds, fraction),
  };
}

const atMs = (seconds: string | undefined, fraction: string): number =>
  Math.floor(Number(seconds) * 1000 + Number(`0.${fraction}`) * 1000);

async function line(folder: string, parts: readonly string[], state: JobState): Promise<string | undefined> {
  const file = await openBelow(folder, parts, { owners: [state.unix.uid, process.getuid?.() ?? 0] }).catch(
    () => undefined,
  );
  if (file === undefined) return undefined;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LINE_BYTES), 0, LINE_BYTES, 0);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}

/** Where the wrapper writes; a place of the user's own is his. */
export function outputOf(root: string, state: JobState) {
  return (attempt: FolderAttempt): { readonly stdoutPath: string; readonly stderrPath: string } => {
    const below = attempt.task === undefined ? '' : `t${attempt.task}/`;
    const folder = `${jobFolder(root, state)}/attempts/${below}${attempt.attempt}`;
    return {
      stdoutPath: state.order.stdoutPath ?? `${folder}/stdout`,
      stderrPath: state.order.stderrPath ?? `${folder}/stderr`,
    };
  };
}
