/** The agent's words as the Scheduler port's: records, tiers, failures. Pure. */
import { type JobRecord, SlurmFailure, type TierFact } from '../../slurm/contract/index.ts';
import { type NativeAttempt, type NativeJob, SchedulerError, type SchedulerTier } from '../scheduler.ts';

type Defined<T> = { readonly [K in keyof T]: Exclude<T[K], undefined> };

/** Without the members that are undefined: an absent one and an undefined one are two things to the port. */
export function known<T extends object>(value: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as Partial<Defined<T>>;
}

export function nativeJob(record: JobRecord): NativeJob {
  const { expectedStartMs, endedAtMs, tasks, reasonCode, partition, account } = record;
  return {
    nativeId: record.nativeId,
    key: record.key,
    name: record.name,
    project: record.project,
    user: record.user,
    tier: record.tier,
    state: record.state,
    reason: record.reason,
    nodes: record.nodes,
    slotsPerNode: record.slotsPerNode,
    timeLimitSeconds: record.timeLimitSeconds,
    requeue: record.requeue,
    unixUser: record.unixUser,
    ...(reasonCode === '' ? {} : { reasonCode }),
    ...(partition === '' ? {} : { partition }),
    ...(account === '' ? {} : { account }),
    ...known({ expectedStartMs, endedAtMs, tasks }),
    submittedAtMs: record.submittedAtMs,
    attempts: record.attempts.map(nativeAttempt),
  };
}

function nativeAttempt(attempt: JobRecord['attempts'][number]): NativeAttempt {
  const { task, endedAtMs, outcome, exitCode, signal } = attempt;
  return {
    attempt: attempt.attempt,
    startedAtMs: attempt.startedAtMs,
    // Slurm says which nodes, not which slots of them.
    placement: attempt.nodes.map((node) => ({ node, slots: [] })),
    stdoutPath: attempt.stdoutPath,
    stderrPath: attempt.stderrPath,
    ...known({ task, endedAtMs, outcome, exitCode, signal }),
  };
}

/** The port knows two ways to preempt; whatever is no plain cancel leaves the job in the queue or among the living. */
export function schedulerTier({ name, priority, preempts, preemptMode, graceSeconds }: TierFact): SchedulerTier {
  return { name, priority, preempts, preemptMode: preemptMode === 'cancel' ? 'cancel' : 'requeue', graceSeconds };
}

/** What the link or the agent failed with, as the port says it; everything else as it came. */
export function asSchedulerError(cause: unknown): unknown {
  if (!(cause instanceof SlurmFailure)) return cause;
  return new SchedulerError(cause.kind, cause.message, {
    cause,
    ...(cause.limit === undefined ? {} : { limit: cause.limit }),
  });
}
