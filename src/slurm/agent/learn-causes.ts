/**
 * Why a run before the last one ended: preempted, its node failed, or put back by somebody. slurmctld clears that when it queues the job again; the accounting database has
 * a row for each run, a moment later. Asked once for all jobs that need it.
 */
import { type AttemptRecord, SlurmFailure } from '../contract/index.ts';
import type { AgentDeps, AgentJob } from './agent-jobs.ts';
import { lastSubmission } from './job-state.ts';

/** Slurm counts whole seconds, and the wrapper starts a moment after the job. */
const NEAR_MS = 3000;

const CAUSES: readonly (readonly [RegExp, NonNullable<AttemptRecord['outcome']>])[] = [
  [/^PREEMPTED/, 'preempted'],
  [/^(NODE_FAIL|BOOT_FAIL)/, 'node-failed'],
  [/^REQUEUED/, 'requeued'],
];

/** Attempts that are over and of which nothing is known but that another one follows. */
export function lacksCause(job: AgentJob): boolean {
  return job.state.record.attempts.some((a) => a.outcome === 'requeued' && !job.causes.has(a.attempt));
}

export async function learnCauses(deps: AgentDeps, jobs: readonly AgentJob[]): Promise<void> {
  const asked = jobs.filter((j) => j.state.order.array === undefined && lacksCause(j));
  if (asked.length === 0) return;
  const ids = asked.flatMap((j) => lastSubmission(j.state)?.nativeId ?? []);
  try {
    const rows = await deps.read.history({
      sinceMs: Math.min(...asked.map((j) => j.state.record.submittedAtMs)) - 60_000,
      untilMs: deps.clock.now() + 60_000,
      jobIds: ids,
    });
    for (const job of asked)
      for (const attempt of job.state.record.attempts) {
        const row = rows.find(
          (r) =>
            r.nativeId === attempt.nativeId &&
            r.user === job.state.unix.name &&
            Math.abs((r.startedAtMs ?? 0) - attempt.startedAtMs) < NEAR_MS,
        );
        const cause = CAUSES.find(([state]) => state.test(row?.state ?? ''))?.[1];
        if (cause !== undefined) job.causes.set(attempt.attempt, cause);
      }
  } catch (cause) {
    if (!(cause instanceof SlurmFailure)) throw cause;
    deps.log.warn({ detail: cause.message }, 'why jobs were put back cannot be asked now');
  }
}
