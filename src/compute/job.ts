/**
 * A job as Beamway knows it: one per idempotency key, with its attempts as rows. Its pure state follows what its scheduler says
 * (`follow`): the scheduler owns the truth, we keep a copy that can be read while it is away. architecture.md 3b.
 */
import type { NativeAttempt, NativeJob } from './scheduler.ts';

export type JobState =
  | 'accepted'
  | 'queued'
  | 'held'
  | 'running'
  | 'suspended'
  | 'completing'
  | 'preempting'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'timed-out'
  | 'node-failed'
  | 'lost';

export interface JobSpec {
  readonly name: string;
  readonly tier: string;
  readonly script: string;
  readonly arguments: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  readonly nodes: number;
  readonly slotsPerNode: number;
  readonly timeLimitSeconds: number;
  readonly requeue: boolean;
  readonly streams: readonly {
    readonly stream: string;
    readonly name: string;
    readonly role: 'producer' | 'consumer';
  }[];
}

export interface Attempt {
  readonly attempt: number;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly placement: NativeAttempt['placement'];
  readonly outcome: string | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdoutPath: string;
  readonly stderrPath: string;
}

export interface Job {
  readonly id: string;
  readonly project: string;
  readonly environment: string;
  readonly cluster: string;
  readonly nativeId: string | null;
  readonly spec: JobSpec;
  readonly state: JobState;
  readonly reason: string;
  readonly submittedBy: string;
  readonly subject: string;
  /** The request that made it; what happens to the job later is recorded under it. */
  readonly requestId: string;
  readonly cancelRequestedAt: Date | null;
  readonly submittedAt: Date;
  readonly updatedAt: Date;
  readonly attempts: readonly Attempt[];
}

const ENDED: ReadonlySet<JobState> = new Set(['completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost']);

/** An ended job never changes again. */
export function jobEnded(state: JobState): boolean {
  return ENDED.has(state);
}

function attemptFrom(native: NativeAttempt): Attempt {
  return {
    attempt: native.attempt,
    startedAt: new Date(native.startedAtMs),
    endedAt: native.endedAtMs === undefined ? null : new Date(native.endedAtMs),
    placement: native.placement,
    outcome: native.outcome ?? null,
    exitCode: native.exitCode ?? null,
    signal: native.signal ?? null,
    stdoutPath: native.stdoutPath,
    stderrPath: native.stderrPath,
  };
}

/** The job as it is after its scheduler said `native`; the very same object where nothing changed. */
export function follow(job: Job, native: NativeJob, at: Date): Job {
  if (jobEnded(job.state)) return job;
  const next = {
    nativeId: native.nativeId,
    state: native.state,
    reason: native.reason,
    attempts: native.attempts.map(attemptFrom),
  };
  const before = { nativeId: job.nativeId, state: job.state, reason: job.reason, attempts: job.attempts };
  return JSON.stringify(next) === JSON.stringify(before) ? job : { ...job, ...next, updatedAt: at };
}
