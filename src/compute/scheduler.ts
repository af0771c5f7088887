/**
 * PORT: a cluster's batch scheduler as the rest of Beamway sees it. `local/` and `slurm/` implement it, and
 * scheduler.conformance.ts holds both to it. The scheduler owns its jobs' truth; callers keep copies and re-read.
 * Native ids are the scheduler's own and mean nothing elsewhere; `key` is ours and names a job for ever.
 */
import type { EpochMs } from '../clock.ts';

/** A one-time claim that the job's runner exchanges at a data streaming node for an endpoint and a credential. */
export interface StreamClaim {
  /** The stream's name within the job. */
  readonly stream: string;
  readonly url: string;
  readonly secret: string;
}

export interface SchedulerJobSpec {
  /** A second submit with the same key returns the first job, even after a crash. */
  readonly key: string;
  readonly name: string;
  readonly project: string;
  readonly user: string;
  readonly tier: string;
  /** Text with a #! line; started as argv [file, ...arguments], never through a shell of ours. */
  readonly script: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Default: the job's own folder. */
  readonly workDir?: string;
  readonly nodes: number;
  readonly slotsPerNode: number;
  readonly timeLimitSeconds: number;
  /** May be queued again after a preemption or a node failure. */
  readonly requeue: boolean;
  readonly notBefore?: EpochMs;
  readonly claims: readonly StreamClaim[];
}

export const NATIVE_JOB_STATES = [
  'queued',
  'running',
  'completing',
  'preempting',
  'completed',
  'failed',
  'cancelled',
  'timed-out',
  'node-failed',
] as const;
export type NativeJobState = (typeof NATIVE_JOB_STATES)[number];

/** How one attempt ended. `not-started`: it was placed, but its script never ran. */
export type AttemptOutcome =
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'timed-out'
  | 'preempted'
  | 'node-failed'
  | 'shut-down'
  | 'not-started';

export interface NativeAttempt {
  /** 1, 2, … */
  readonly attempt: number;
  /** When its script was started; until then, when its slots were given to it. */
  readonly startedAtMs: EpochMs;
  readonly endedAtMs?: EpochMs;
  readonly placement: readonly { readonly node: string; readonly slots: readonly number[] }[];
  readonly outcome?: AttemptOutcome;
  readonly exitCode?: number;
  /** Such as SIGKILL. */
  readonly signal?: string;
  readonly stdoutPath: string;
  readonly stderrPath: string;
}

export interface NativeJob {
  readonly nativeId: string;
  readonly key: string;
  readonly name: string;
  readonly project: string;
  readonly user: string;
  readonly tier: string;
  readonly state: NativeJobState;
  /** Why it waits or how it ended, in plain words; empty while there is nothing to say. */
  readonly reason: string;
  readonly nodes: number;
  readonly slotsPerNode: number;
  readonly timeLimitSeconds: number;
  readonly requeue: boolean;
  readonly submittedAtMs: EpochMs;
  readonly endedAtMs?: EpochMs;
  /** Oldest first. */
  readonly attempts: readonly NativeAttempt[];
}

export interface SchedulerNode {
  readonly name: string;
  readonly slots: number;
  readonly free: number;
  readonly state: 'up' | 'draining' | 'down';
}

export interface SchedulerTier {
  readonly name: string;
  readonly priority: number;
  readonly preempts: readonly string[];
  readonly preemptMode: 'requeue' | 'cancel';
  readonly graceSeconds: number;
}

export interface JobFilter {
  readonly states?: readonly NativeJobState[];
  readonly project?: string;
}

export interface Scheduler {
  /**
   * Durable when it returns. Of a repeated submit only the claims are taken over, as the newest are the valid ones.
   * SchedulerError: invalid, unknown-tier, too-large, limit, unavailable.
   */
  submit(spec: SchedulerJobSpec): Promise<NativeJob>;
  /** Asks for the end and returns at once; a job that has ended is left as it is. SchedulerError: not-found, unavailable. */
  cancel(nativeId: string): Promise<NativeJob>;
  /** SchedulerError: not-found, unavailable. */
  show(nativeId: string): Promise<NativeJob>;
  /** Oldest first. */
  list(filter?: JobFilter): Promise<readonly NativeJob[]>;
  nodes(): Promise<readonly SchedulerNode[]>;
  tiers(): Promise<readonly SchedulerTier[]>;
  /** `listener` is called after something changed: a wake-up only, re-read with show or list. Returns the way to stop. */
  watch(listener: () => void): () => void;
  /** Lets go of the scheduler; its jobs go on. */
  close(): Promise<void>;
}

export type SchedulerErrorKind = 'unavailable' | 'invalid' | 'unknown-tier' | 'too-large' | 'limit' | 'not-found';

/** What every method throws when it cannot do what was asked; `unavailable` may be repeated, the others not. */
export class SchedulerError extends Error {
  override readonly name = 'SchedulerError';
  readonly kind: SchedulerErrorKind;

  constructor(kind: SchedulerErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

const ENDED: ReadonlySet<NativeJobState> = new Set(['completed', 'failed', 'cancelled', 'timed-out', 'node-failed']);

/** An ended job never changes again. */
export function hasEnded(state: NativeJobState): boolean {
  return ENDED.has(state);
}
