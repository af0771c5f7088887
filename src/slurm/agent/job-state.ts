/**
 * What the agent remembers of a job, in control/job.json of its folder (0600, replaced atomically): written before Slurm is asked and after it answered, so that
 * a restart at any line knows what may have happened. Types and pure functions.
 */
import type { JobRecord, SubmitOrder } from '../contract/index.ts';

/** One handing over to Slurm. `sending`: it may or may not have arrived. */
export interface Submission {
  readonly number: number;
  readonly state: 'sending' | 'sent' | 'superseded';
  readonly nativeId?: string;
  readonly atMs: number;
}

export interface JobState {
  /** Order of submission. */
  readonly serial: number;
  readonly order: Omit<SubmitOrder, 'claims' | 'script'>;
  readonly unix: {
    readonly name: string;
    readonly uid: number;
    readonly gid: number;
    readonly group: { readonly name: string; readonly gid: number };
    readonly account: string;
    readonly roots: readonly string[];
  };
  readonly qos: string;
  /** Oldest first. */
  readonly submissions: readonly Submission[];
  /** How often Beamway itself was asked to run it again; fences exit records of before. */
  readonly requeues: number;
  readonly cancelled: boolean;
  /** Of an array: the final word on each task that has ended. */
  readonly endedTasks: Readonly<Record<string, 'completed' | 'failed' | 'cancelled'>>;
  /** Since when Slurm has not known it, though it answered. */
  readonly missingSinceMs?: number;
  readonly record: JobRecord;
}

export function lastSubmission(state: JobState): Submission | undefined {
  return state.submissions.at(-1);
}

/** With the last submission replaced. */
export function withSubmission(state: JobState, next: Submission): JobState {
  const others = state.submissions.filter((s) => s.number !== next.number);
  return { ...state, submissions: [...others, next].sort((a, b) => a.number - b.number) };
}

const ENDED: ReadonlySet<JobRecord['state']> = new Set([
  'completed',
  'failed',
  'cancelled',
  'timed-out',
  'node-failed',
  'lost',
]);

/** An ended job never changes again. */
export function recordEnded(state: JobRecord['state']): boolean {
  return ENDED.has(state);
}

/** What stands in Slurm's comment: joins sacct to our audit log, and finds a job whose number we never learned. */
export function commentOf(
  instance: string,
  order: { readonly key: string; readonly asker: { readonly requestId: string } },
  submission: number,
): string {
  return `beamway:${instance}:${order.key}:${submission}:${order.asker.requestId}`;
}

export interface CommentParts {
  readonly instance: string;
  readonly key: string;
  readonly submission: number;
}

/** Undefined where the comment is not ours. Anybody may write such a comment on a job of his own: the job's user must be looked at too. */
export function parseComment(comment: string): CommentParts | undefined {
  const match = /^beamway:([A-Za-z0-9_.-]+):([A-Za-z0-9_.-]+):(\d{1,6}):/.exec(comment);
  if (match === null) return undefined;
  return { instance: match[1] ?? '', key: match[2] ?? '', submission: Number(match[3]) };
}
