/** Lets a held job be started. Of one that is not held nothing changes. */
import type { ComputeDeps } from './deps.ts';
import type { Job } from './job.ts';
import { orderControl } from './order-control.ts';
import type { Asking } from './scheduler.ts';

/** Throws what `orderControl` throws. */
export function releaseJob(deps: ComputeDeps, by: Asking, job: Job): Promise<Job> {
  return orderControl(deps, job, { feature: 'hold', ask: (control, id) => control.release(id, by) });
}
