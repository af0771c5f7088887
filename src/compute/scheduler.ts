/**
 * PORT: a cluster's batch scheduler as the rest of Beamway sees it. `local/` and `slurm/` implement it, and
 * scheduler.conformance.ts holds both to it. The scheduler owns its jobs' truth; callers keep copies and re-read.
 * Native ids are the scheduler's own and mean nothing elsewhere; `key` is ours and names a job for ever.
 */
import type { EpochMs } from '../clock.ts';
import type { ClusterFacts } from './cluster-facts.ts';

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
  /** Of the request that submits it, for the scheduler's own records. */
  readonly requestId?: string;
  /** What follows needs the feature of the same sense; a scheduler without it is not asked. Default: none. */
  readonly hold?: boolean;
  readonly partition?: string;
  readonly reservation?: string;
  /** Generic resources on each node, such as gpu:2. */
  readonly gres?: string;
  readonly constraint?: string;
  readonly exclusive?: boolean;
  /** An image or bundle as the cluster's container runtime names it. */
  readonly container?: string;
  readonly memoryMiBPerNode?: number;
  readonly array?: ArrayRange;
  /** Jobs of the same cluster, by their keys. */
  readonly dependsOn?: readonly JobDependency[];
  /** Default: the attempt's own files. */
  readonly stdoutPath?: string;
  readonly stderrPath?: string;
  /** Submit again, fenced, where the scheduler has lost it for good. */
  readonly resubmitIfLost?: boolean;
}

/** Task numbers first, first + step, … up to last; at most `atOnce` of them run at the same time. */
export interface ArrayRange {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly atOnce?: number;
}

export interface JobDependency {
  readonly key: string;
  readonly when: 'started' | 'ended' | 'succeeded' | 'failed';
}

/** What a scheduler can beyond running one job after another. */
export const SCHEDULER_FEATURES = [
  'array',
  'constraint',
  'container',
  'dependency',
  'exclusive',
  'gres',
  'hold',
  'memory',
  'output-paths',
  'partition',
  'requeue',
  'reservation',
  'resubmit',
  'signal',
  'terminal',
  'update',
] as const;
export type SchedulerFeature = (typeof SCHEDULER_FEATURES)[number];

export const JOB_SIGNALS = ['TERM', 'INT', 'HUP', 'USR1', 'USR2', 'STOP', 'CONT', 'KILL'] as const;
export type JobSignal = (typeof JOB_SIGNALS)[number];

export const NATIVE_JOB_STATES = [
  'queued',
  'held',
  'running',
  'suspended',
  'completing',
  'preempting',
  'completed',
  'failed',
  'cancelled',
  'timed-out',
  'node-failed',
  'lost',
] as const;
export type NativeJobState = (typeof NATIVE_JOB_STATES)[number];

/** How one attempt ended. `not-started`: it was placed, but its script never ran. */
export type AttemptOutcome =
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'timed-out'
  | 'preempted'
  | 'requeued'
  | 'node-failed'
  | 'shut-down'
  | 'not-started';

export interface NativeAttempt {
  /** Of an array: which task. */
  readonly task?: number;
  /** 1, 2, … of the job or of its task. */
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
  /** The scheduler's own word for `reason`, where it has one, such as QOSGrpNodeLimit. */
  readonly reasonCode?: string;
  readonly partition?: string;
  readonly account?: string;
  /** The Unix user that it runs as, where that is not ours. */
  readonly unixUser?: string;
  /** When the scheduler means to start it, as it thinks now. */
  readonly expectedStartMs?: EpochMs;
  readonly tasks?: TaskCounts;
  readonly submittedAtMs: EpochMs;
  readonly endedAtMs?: EpochMs;
  /** Oldest first. */
  readonly attempts: readonly NativeAttempt[];
}

/** Of an array: how many tasks are where. */
export interface TaskCounts {
  readonly total: number;
  readonly waiting: number;
  readonly running: number;
  readonly completed: number;
  readonly failed: number;
}

/** Where it is placed in the queue of changes: jobs changed since then, or all there are where the cursor means nothing any more. */
export interface JobChanges {
  readonly cursor: string;
  readonly complete: boolean;
  readonly jobs: readonly NativeJob[];
}

export interface OutputRange {
  readonly task?: number;
  readonly attempt: number;
  readonly file: 'stdout' | 'stderr';
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Bytes at the most. */
  readonly limit: number;
}

export interface OutputBytes {
  readonly bytes: Buffer;
  /** Of the whole file, now. */
  readonly size: number;
}

/** Who asks, for the scheduler's own records. */
export interface Asking {
  readonly person: string;
  readonly requestId: string;
}

export interface JobUpdate {
  readonly timeLimitSeconds?: number;
  readonly tier?: string;
  readonly notBefore?: EpochMs;
  readonly name?: string;
}

/** What `hold`, `requeue`, `signal` and `update` promise. All read back; SchedulerError: not-found, invalid, limit, unknown-tier, unavailable. */
export interface JobControl {
  hold(nativeId: string, by: Asking): Promise<NativeJob>;
  release(nativeId: string, by: Asking): Promise<NativeJob>;
  requeue(nativeId: string, by: Asking): Promise<NativeJob>;
  update(nativeId: string, change: JobUpdate, by: Asking): Promise<NativeJob>;
  signal(nativeId: string, signal: JobSignal, by: Asking): Promise<NativeJob>;
}

export interface TerminalOrder {
  /** One-time; the far end dials back with it. */
  readonly ticket: string;
  readonly columns: number;
  readonly rows: number;
  /** Empty: a login shell. */
  readonly command: readonly string[];
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
  readonly features: ReadonlySet<SchedulerFeature>;
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
  /** Without a cursor: every job. Cheap to ask often: follow-jobs copies what it says. */
  changes(cursor?: string): Promise<JobChanges>;
  /** What is not written yet is empty, not an error. SchedulerError: not-found, unavailable. */
  output(nativeId: string, range: OutputRange): Promise<OutputBytes>;
  /** Present with the features hold, requeue, signal and update. */
  readonly control?: JobControl;
  /** Present with the feature terminal. SchedulerError: not-found, invalid, unavailable. */
  openTerminal?(nativeId: string, order: TerminalOrder, by: Asking): Promise<void>;
  /** What the cluster's own tools say; absent where the scheduler is ours and there is no more to say. */
  readonly facts?: ClusterFacts;
  nodes(): Promise<readonly SchedulerNode[]>;
  tiers(): Promise<readonly SchedulerTier[]>;
  /** `listener` is called after something changed: a wake-up only, re-read with show or list. Returns the way to stop. */
  watch(listener: () => void): () => void;
  /** Lets go of the scheduler; its jobs go on. */
  close(): Promise<void>;
}

/** `refused`: whoever asked may not, by the cluster's own rules, such as a mapping without an entry. */
export type SchedulerErrorKind =
  | 'unavailable'
  | 'invalid'
  | 'unknown-tier'
  | 'too-large'
  | 'limit'
  | 'not-found'
  | 'refused';

/** What every method throws when it cannot do what was asked; `unavailable` may be repeated, the others not. */
export class SchedulerError extends Error {
  override readonly name = 'SchedulerError';
  readonly kind: SchedulerErrorKind;
  /** The scheduler's name of the limit that was met, such as QOSMaxNodePerUserLimit. */
  readonly limit: string | undefined;

  constructor(kind: SchedulerErrorKind, message: string, options?: ErrorOptions & { readonly limit?: string }) {
    super(message, options);
    this.kind = kind;
    this.limit = options?.limit;
  }
}

const ENDED: ReadonlySet<NativeJobState> = new Set([
  'completed',
  'failed',
  'cancelled',
  'timed-out',
  'node-failed',
  'lost',
]);

/** An ended job never changes again. */
export function hasEnded(state: NativeJobState): boolean {
  return ENDED.has(state);
}
