/** Cancels a job: the wish is a row first, so that it is carried out even when the scheduler is away just now. */
import type { ComputeDeps } from './deps.ts';

import { type Job, jobEnded } from './job.ts';
import { carryOutCancel } from './settle-job.ts';
import { jobById, requestCancel } from './store.ts';

export async function cancelJob(deps: ComputeDeps, job: Job): Promise<Job> {
  if (jobEnded(job.state)) return job;
  await requestCancel(deps.db, job.id, new Date(deps.clock.now()));
  const asked = (await jobById(deps.db, job.id)) ?? job;
  return jobEnded(asked.state) ? asked : carryOutCancel(deps, asked);
}
