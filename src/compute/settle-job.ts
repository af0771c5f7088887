/**
 * One job that has not ended, and what its scheduler says of it: hands it over, carries out a wish to cancel it, or copies what is said. Level-triggered: it may be repeated
 * at any time. That a job is lost follows only from a list that holds every job there is.
 */
import type { ComputeDeps } from './deps.ts';
import { handOver } from './hand-over.ts';
import { follow, type Job } from './job.ts';
import { onNative } from './on-native.ts';
import { saveJob } from './save-job.ts';
import { hasEnded, type NativeJob, SchedulerError } from './scheduler.ts';
import { jobById } from './store.ts';

/** A job accepted longer ago than this was left behind by whoever submitted it. */
const HAND_OVER_MS = 3000;
/** A job the scheduler does not know so long after we gave it is lost. */
const LOST_AFTER_MS = 30_000;

export interface Heard {
  readonly native: NativeJob | undefined;
  /** Without `native` the scheduler does not know the job; otherwise it has only said nothing about it. */
  readonly complete: boolean;
}

/** False: somebody else wrote the job meanwhile; it is to be looked at again. */
export async function settleJob(deps: ComputeDeps, job: Job, { native, complete }: Heard): Promise<boolean> {
  if (native === undefined) {
    if (job.nativeId === null) await settleOurs(deps, job);
    else await settleSilent(deps, job, complete);
    return true;
  }
  if (job.cancelRequestedAt !== null && !hasEnded(native.state)) {
    await carryOutCancel(deps, job, native.nativeId);
    return true;
  }
  const next = follow(job, native, new Date(deps.clock.now()));
  return next === job || (await saveJob(deps, { before: job, next })) !== undefined;
}

/** It has not reached the scheduler, as far as we know. */
async function settleOurs(deps: ComputeDeps, job: Job): Promise<void> {
  if (job.cancelRequestedAt !== null) return end(deps, job, ['cancelled', 'cancelled before it reached the scheduler']);
  // Whoever submitted it is handing it over now; claims made twice would void each other.
  if (deps.clock.now() - job.updatedAt.getTime() < HAND_OVER_MS) return;
  await handOver(deps, job, { tell: true }).catch(() => undefined); // a refusal is written into the job
}

async function settleSilent(deps: ComputeDeps, job: Job, complete: boolean): Promise<void> {
  if (!complete) {
    if (job.cancelRequestedAt !== null) await carryOutCancel(deps, job);
    return;
  }
  if (deps.clock.now() - job.updatedAt.getTime() > LOST_AFTER_MS)
    await end(deps, job, ['lost', 'the scheduler no longer knows it']);
}

async function end(deps: ComputeDeps, job: Job, [state, reason]: readonly [Job['state'], string]): Promise<void> {
  await saveJob(deps, { before: job, next: { ...job, state, reason } });
}

/** Asks the scheduler to end the job and copies what it says; leaves the wish standing where it does not answer. */
export async function carryOutCancel(
  deps: ComputeDeps,
  job: Job,
  nativeId: string | null = job.nativeId,
): Promise<Job> {
  const scheduler = deps.schedulers.get(job.cluster);
  if (scheduler === undefined || nativeId === null) return job;
  try {
    const native = await onNative({ id: job.id, nativeId }, (id) => scheduler.cancel(id));
    const next = follow(job, native, new Date(deps.clock.now()));
    if (next === job) return job;
    return (await saveJob(deps, { before: job, next })) ?? (await jobById(deps.db, job.id)) ?? next;
  } catch (cause) {
    if (cause instanceof SchedulerError) return job;
    throw cause;
  }
}
