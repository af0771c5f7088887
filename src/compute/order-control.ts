/**
 * What hold, release, requeue, signal and update have in common: a job that has not ended and has reached a scheduler that can do it is asked there, and what the scheduler
 * then says of it, read back, becomes our copy.
 */
import { Problem } from '../problems.ts';
import type { ComputeDeps } from './deps.ts';
import { follow, type Job, type JobSpec, jobEnded } from './job.ts';
import { onNative } from './on-native.ts';
import { saveJob } from './save-job.ts';
import { type JobControl, type NativeJob, type Scheduler, SchedulerError, type SchedulerFeature } from './scheduler.ts';
import { schedulerProblem } from './scheduler-problem.ts';

export interface ControlOrder {
  readonly feature: SchedulerFeature;
  readonly ask: (control: JobControl, nativeId: string, scheduler: Scheduler) => Promise<NativeJob>;
  /** What was asked for becomes this, once the scheduler has done it. */
  readonly spec?: JobSpec;
}

const RETRY_SECONDS = 2;

/** Throws `job-ended`, `not-supported-here`, `conflict` (the scheduler says that its state forbids it), `limit-reached`, `account-refused`, `unknown-tier` or `unavailable`. */
export async function orderControl(deps: ComputeDeps, job: Job, order: ControlOrder): Promise<Job> {
  if (jobEnded(job.state)) throw new Problem('job-ended', `Job ${job.id} is ${job.state}.`);
  const scheduler = deps.schedulers.get(job.cluster);
  if (scheduler === undefined) throw new Error(`cluster ${job.cluster} has no scheduler`);
  const { control } = scheduler;
  if (control === undefined || !scheduler.features.has(order.feature))
    throw new Problem('not-supported-here', `The scheduler of cluster ${job.cluster} cannot ${order.feature} a job.`);
  const { nativeId } = job;
  if (nativeId === null)
    throw new Problem('unavailable', `Job ${job.id} is still on its way to the scheduler.`, {
      retryAfterSeconds: RETRY_SECONDS,
    });
  const native = await onNative({ id: job.id, nativeId }, (id) => order.ask(control, id, scheduler)).catch(
    (cause: unknown) => {
      throw cause instanceof SchedulerError ? problemOf(cause) : cause;
    },
  );
  const known = follow(job, native, new Date(deps.clock.now()));
  const next = order.spec === undefined ? known : { ...known, spec: order.spec };
  if (next !== job) await saveJob(deps, next, job);
  return next;
}

/** The job is there and the words are right: what is refused now is refused because of how the job stands. */
function problemOf(error: SchedulerError): Problem {
  if (error.kind === 'invalid' || error.kind === 'not-found') return new Problem('conflict', error.message);
  return schedulerProblem(error);
}
