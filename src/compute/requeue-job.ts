/** Ends a running job's attempt and puts the job back into the queue: its next attempt starts the script anew. */
import { Problem } from '../problems.ts';
import type { ComputeDeps } from './deps.ts';
import type { Job } from './job.ts';
import { orderControl } from './order-control.ts';
import type { Asking } from './scheduler.ts';

/** Throws what `orderControl` throws; `conflict` where the job was submitted not to be queued again. */
export async function requeueJob(deps: ComputeDeps, by: Asking, job: Job): Promise<Job> {
  if (!job.spec.requeue && job.nativeId !== null)
    throw new Problem('conflict', `Job ${job.id} was submitted with requeue false: it may be started once only.`);
  return orderControl(deps, job, { feature: 'requeue', ask: (control, id) => control.requeue(id, by) });
}
