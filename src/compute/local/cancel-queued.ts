/** Ends a job that holds no slots. Durable on return. */
import { dequeueJob, enqueueJob } from '../../batch/index.ts';
import type { LocalCluster, LocalJob } from './local-cluster.ts';
import { saveJob } from './save-job.ts';

export async function cancelQueued(cluster: LocalCluster, job: LocalJob): Promise<void> {
  const before = job.record;
  dequeueJob(cluster.state, job.batch);
  job.record = {
    ...job.record,
    ended: { state: 'cancelled', reason: 'was cancelled', atMs: cluster.options.clock.now() },
  };
  cluster.wake();
  try {
    await saveJob(cluster, job);
  } catch (error) {
    // What is not on the disk has not happened: after a restart the job would run.
    job.record = before;
    enqueueJob(cluster.state, job.batch);
    cluster.wake();
    throw error;
  }
}
