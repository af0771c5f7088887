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
import { jobById } from './store.ts';

export interface ControlOrder {
  readonly feature: SchedulerFeature;
  readonly ask: (control: JobControl, nativeId: string, scheduler: Scheduler) => Promise<NativeJob>;
  /** What was asked for becomes this, once the scheduler has done it. */
  readonly change?: (spec: JobSpec) => JobSpec;
}

const RETRY_SECONDS = 2;
const TRIES = 5;

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
  return keep(deps, job, { native, change: order.change ?? ((spec) => spec), scheduler });
}

interface Done {
  readonly native: NativeJob;
  readonly change: (spec: JobSpec) => JobSpec;
  readonly scheduler: Scheduler;
}

/** Where the follower wrote meanwhile, its words may be older or newer than ours: the scheduler is asked once more. */
async function keep(deps: ComputeDeps, asked: Job, { native, change, scheduler }: Done): Promise<Job> {
  let before = asked;
  let said = native;
  for (let tries = 1; ; tries++) {
    const known = follow(before, said, new Date(deps.clock.now()));
    const spec = change(before.spec);
    if (known === before && spec === before.spec) return before;
    const next = { ...known, spec };
    const saved = await saveJob(deps, { before, next });
    if (saved !== undefined || tries === TRIES) return saved ?? next;
    before = (await jobById(deps.db, asked.id)) ?? before;
    if (jobEnded(before.state)) return before;
    const id = { id: asked.id, nativeId: said.nativeId };
    said = await onNative(id, (name) => scheduler.show(name)).catch((cause: unknown) => {
      throw cause instanceof SchedulerError ? schedulerProblem(cause) : cause;
    });
  }
}

/** The job is there and the words are right: what is refused now is refused because of how the job stands. */
function problemOf(error: SchedulerError): Problem {
  if (error.kind === 'invalid' || error.kind === 'not-found') return new Problem('conflict', error.message);
  return schedulerProblem(error);
}
