/**
 * A job as Beamway knows it: one per idempotency key, with its attempts as rows. Its pure state follows what its scheduler says
 * (`follow`): the scheduler owns the truth, we keep a copy that can be read while it is away. architecture.md 3b.
 */
import type { JobDependency, NativeAttempt, NativeJob, TaskCounts } from './scheduler.ts';

export const OPEN_STATES = ['accepted', 'queued', 'held', 'running', 'suspended', 'completing', 'preempting'] as const;
/** An ended job never changes again. */
export const ENDED_STATES = ['completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost'] as const;
export type JobState = (typeof OPEN_STATES)[number] | (typeof ENDED_STATES)[number];

/** What was asked for. Members that may be absent need a scheduler that has them (job-rules.ts). */
export interface JobSpec {
  readonly name: string;
  readonly tier: string;
  readonly script: string;
  /** Absolute path, where the job came with one; `script` was made of it. */
  readonly executable?: string | undefined;
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
  readonly workDir?: string | undefined;
  readonly stdoutPath?: string | undefined;
  readonly stderrPath?: string | undefined;
  /** ISO 8601, UTC. */
  readonly notBefore?: string | undefined;
  readonly hold?: boolean | undefined;
  readonly partition?: string | undefined;
  readonly reservation?: string | undefined;
  readonly gres?: string | undefined;
  readonly constraint?: string | undefined;
  readonly exclusive?: boolean | undefined;
  readonly container?: string | undefined;
  readonly memoryMiBPerNode?: number | undefined;
  readonly array?: JobArray | undefined;
  readonly dependsOn?: readonly Dependency[] | undefined;
  readonly resubmitIfLost?: boolean | undefined;
}

export interface JobArray {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly atOnce?: number | undefined;
}

/** On another job of the same project and cluster, by its id. */
export interface Dependency {
  readonly job: string;
  readonly when: JobDependency['when'];
}

export interface Attempt {
  /** Null where the job is no array. */
  readonly task: number | null;
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

/** The scheduler's own words on a job, where it has any. */
export interface NativeFacts {
  readonly reasonCode: string | null;
  readonly partition: string | null;
  readonly account: string | null;
  readonly unixUser: string | null;
  /** Milliseconds since the Unix epoch. */
  readonly expectedStartMs: number | null;
  readonly tasks: TaskCounts | null;
}

export const NO_FACTS: NativeFacts = {
  reasonCode: null,
  partition: null,
  account: null,
  unixUser: null,
  expectedStartMs: null,
  tasks: null,
};

export interface Job {
  readonly id: string;
  readonly project: string;
  readonly environment: string;
  readonly cluster: string;
  readonly nativeId: string | null;
  readonly spec: JobSpec;
  readonly state: JobState;
  readonly reason: string;
  readonly facts: NativeFacts;
  readonly submittedBy: string;
  readonly subject: string;
  /** The request that made it; what happens to the job later is recorded under it. */
  readonly requestId: string;
  readonly cancelRequestedAt: Date | null;
  readonly submittedAt: Date;
  readonly updatedAt: Date;
  /** By task, then number. */
  readonly attempts: readonly Attempt[];
}

const ENDED: ReadonlySet<JobState> = new Set(ENDED_STATES);

/** An ended job never changes again. */
export function jobEnded(state: JobState): boolean {
  return ENDED.has(state);
}

/** How many tasks a job has; 1 where it is no array. */
export function tasksOf({ array }: Pick<JobSpec, 'array'>): number {
  return array === undefined ? 1 : Math.floor((array.last - array.first) / array.step) + 1;
}

function attemptFrom(native: NativeAttempt): Attempt {
  return {
    task: native.task ?? null,
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

const inOrder = (a: Attempt, b: Attempt): number => (a.task ?? -1) - (b.task ?? -1) || a.attempt - b.attempt;

/** The job as it is after its scheduler said `native`; the very same object where nothing changed. */
export function follow(job: Job, native: NativeJob, at: Date): Job {
  if (jobEnded(job.state)) return job;
  const facts: NativeFacts = {
    reasonCode: native.reasonCode ?? null,
    partition: native.partition ?? null,
    account: native.account ?? null,
    unixUser: native.unixUser ?? null,
    expectedStartMs: native.expectedStartMs ?? null,
    tasks: native.tasks ?? null,
  };
  const next = {
    nativeId: native.nativeId,
    state: native.state,
    reason: native.reason,
    facts,
    attempts: native.attempts.map(attemptFrom).sort(inOrder),
  };
  const { nativeId, state, reason, attempts } = job;
  const before = { nativeId, state, reason, facts: { ...NO_FACTS, ...job.facts }, attempts };
  return JSON.stringify(next) === JSON.stringify(before) ? job : { ...job, ...next, updatedAt: at };
}

/** Those of `next` that are not so in `before`: all that has to be written. */
export function changedAttempts(before: Job, next: Job): readonly Attempt[] {
  const name = (a: Attempt): string => `${a.task ?? ''}.${a.attempt}`;
  const known = new Map(before.attempts.map((a) => [name(a), JSON.stringify(a)]));
  return next.attempts.filter((a) => known.get(name(a)) !== JSON.stringify(a));
}
