/**
 * Keeps our copy of the jobs true: one follower per cluster, woken by the scheduler and at least every two seconds. Level-triggered: hands
 * over what was accepted, carries out cancellations, copies what the scheduler says, in that order, from what is now.
 */
import type { ComputeDeps } from './deps.ts';
import { handOver } from './hand-over.ts';
import { follow, type Job } from './job.ts';
import { saveJob } from './save-job.ts';
import { hasEnded, type NativeJob, type Scheduler, SchedulerError } from './scheduler.ts';
import { openJobs } from './store.ts';

const LOOK_EVERY_MS = 2000;
/** A job accepted longer ago than this was left behind by whoever submitted it. */
const HAND_OVER_MS = 3000;
/** A job the scheduler does not know so long after we gave it is lost. */
const LOST_AFTER_MS = 30_000;

export interface JobFollower {
  /** Looks now; resolves when our copy is as new as this call. */
  look(): Promise<void>;
  stop(): Promise<void>;
}

export function followJobs(deps: ComputeDeps, cluster: string): JobFollower {
  const scheduler = deps.schedulers.get(cluster);
  if (scheduler === undefined) throw new Error(`cluster ${cluster} has no scheduler`);
  let stopped = false;
  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let cancelTimer = (): void => undefined;

  const arm = (): void => {
    cancelTimer();
    if (!stopped) cancelTimer = deps.clock.after(LOOK_EVERY_MS, wake);
  };
  /** At most one look under way and one waiting: a wake during a look may concern what that look has already read. */
  const look = (): Promise<void> => {
    if (current === undefined) {
      current = once(deps, scheduler, cluster).finally(() => {
        current = undefined;
        arm();
      });
      return current;
    }
    next ??= current
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return look();
      });
    return next;
  };
  const wake = (): void => {
    if (!stopped)
      look().catch((cause: unknown) => deps.log.warn({ cluster, err: cause }, 'jobs could not be followed'));
  };
  const unwatch = scheduler.watch(wake);
  wake();
  return {
    look,
    async stop() {
      stopped = true;
      unwatch();
      cancelTimer();
      await (next ?? current)?.catch(() => undefined);
      cancelTimer();
    },
  };
}

async function once(deps: ComputeDeps, scheduler: Scheduler, cluster: string): Promise<void> {
  const open = await openJobs(deps.db, cluster);
  if (open.length === 0) return;
  const natives = new Map((await scheduler.list()).map((n) => [n.key, n]));
  for (const job of open) {
    const native = natives.get(job.id);
    try {
      await settle(deps, job, native);
    } catch (cause) {
      deps.log.warn({ job: job.id, err: cause }, 'a job could not be followed');
    }
  }
}

async function settle(deps: ComputeDeps, job: Job, native: NativeJob | undefined): Promise<void> {
  if (native === undefined) {
    if (job.cancelRequestedAt !== null && job.nativeId === null)
      return saveJob(deps, { ...job, state: 'cancelled', reason: 'cancelled before it reached the scheduler' });
    // Whoever submitted it is handing it over now; claims made twice would void each other.
    if (job.nativeId === null && deps.clock.now() - job.updatedAt.getTime() < HAND_OVER_MS) return;
    if (job.nativeId === null) return void (await handOver(deps, job, { tell: true }).catch(() => undefined)); // a refusal is written into the job
    if (deps.clock.now() - job.updatedAt.getTime() > LOST_AFTER_MS)
      return saveJob(deps, { ...job, state: 'lost', reason: 'the scheduler no longer knows it' });
    return;
  }
  if (job.cancelRequestedAt !== null && !hasEnded(native.state))
    return void (await carryOutCancel(deps, { ...job, nativeId: native.nativeId }));
  const known = follow(job, native, new Date(deps.clock.now()));
  if (known !== job) await saveJob(deps, known, job.state);
}

/** Asks the scheduler to end the job and copies what it says; leaves the wish standing where it does not answer. */
export async function carryOutCancel(deps: ComputeDeps, job: Job): Promise<Job> {
  const scheduler = deps.schedulers.get(job.cluster);
  if (scheduler === undefined || job.nativeId === null) return job;
  try {
    const known = follow(job, await scheduler.cancel(job.nativeId), new Date(deps.clock.now()));
    if (known !== job) await saveJob(deps, known, job.state);
    return known;
  } catch (cause) {
    if (cause instanceof SchedulerError) return job;
    throw cause;
  }
}
