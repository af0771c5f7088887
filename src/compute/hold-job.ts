/** Holds a job that waits: it keeps its place but is not started until it is released. Of one that is held already nothing changes. */
import type { ComputeDeps } from './deps.ts';
import type { Job } from './job.ts';
import { orderControl } from './order-control.ts';
import type { Asking } from './scheduler.ts';

/** Throws what `orderControl` throws; `conflict` where the job has begun. */
export function holdJob(deps: ComputeDeps, by: Asking, job: Job): Promise<Job> {
  return orderControl(deps, job, { feature: 'hold', ask: (control, id) => control.hold(id, by) });
}
