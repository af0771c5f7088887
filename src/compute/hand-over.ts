/**
 * Hands an accepted job to its scheduler under its own id as key, so that it may be repeated after any crash. A scheduler that is away leaves
 * the job accepted; one that refuses it ends it as failed, with the reason.
 */
import { Problem } from '../problems.ts';
import { dependenciesNow } from './dependencies.ts';
import type { ComputeDeps } from './deps.ts';
import { follow, type Job } from './job.ts';
import { saveJob } from './save-job.ts';
import { SchedulerError } from './scheduler.ts';
import { schedulerProblem } from './scheduler-problem.ts';
import { schedulerSpec } from './scheduler-spec.ts';
import { jobById } from './store.ts';

export interface HandOverOptions {
  /** Nobody asks just now: whoever follows jobs does it, and that is to be recorded. */
  readonly tell: boolean;
}

/** Throws only what the caller can mend (`job-too-large`, `limit-reached`, `account-refused`, `invalid-request`); the job then has failed. */
export async function handOver(deps: ComputeDeps, job: Job, { tell }: HandOverOptions = { tell: false }): Promise<Job> {
  const scheduler = deps.schedulers.get(job.cluster);
  if (scheduler === undefined) throw new Error(`cluster ${job.cluster} has no scheduler`);
  try {
    const readiness = await dependenciesNow(deps.db, job);
    if (readiness.kind === 'not-yet') return job;
    if (readiness.kind === 'impossible') return await endBefore(deps, job, readiness.reason);
    const claims = await deps.claimStreams(job);
    const native = await scheduler.submit(schedulerSpec(job, { claims, dependsOn: readiness.dependsOn }));
    const next = follow(job, native, new Date(deps.clock.now()));
    const saved = await saveJob(deps, { before: job, next }, { act: tell ? 'handed-over' : null });
    // The follower has heard of it sooner: what it wrote is as new as this or newer.
    return saved ?? (await jobById(deps.db, job.id)) ?? next;
  } catch (cause) {
    const passing =
      cause instanceof Problem ? cause.status >= 500 : cause instanceof SchedulerError && cause.kind === 'unavailable';
    if (passing) {
      deps.log.warn({ job: job.id, err: cause }, 'a job could not be handed over yet');
      return job;
    }
    if (cause instanceof Problem) {
      // For example, a stream it is attached to was released: that does not pass.
      await saveJob(deps, { before: job, next: { ...job, state: 'failed', reason: cause.message } });
      throw cause;
    }
    if (!(cause instanceof SchedulerError)) throw cause;
    const reason = `the scheduler refused it: ${cause.message}`;
    await saveJob(deps, { before: job, next: { ...job, state: 'failed', reason } });
    throw schedulerProblem(cause);
  }
}

/** What it waited for will never be: it ends without having reached the scheduler. */
async function endBefore(deps: ComputeDeps, job: Job, reason: string): Promise<Job> {
  const next: Job = { ...job, state: 'failed', reason };
  return (await saveJob(deps, { before: job, next })) ?? (await jobById(deps.db, job.id)) ?? next;
}
