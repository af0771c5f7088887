/**
 * Takes a job in: checked, given its number, on the disk, and only then in the queue and acknowledged. Of several
 * submits with one key the first makes the job and the others wait for it.
 */
import { enqueueJob } from '../../batch/index.ts';
import { SchedulerError, type SchedulerJobSpec } from '../scheduler.ts';
import { checkFit } from './check-spec.ts';
import { createJob } from './job-folder.ts';
import type { JobRecord } from './job-record.ts';
import { batchJobOf, type LocalCluster, type LocalJob } from './local-cluster.ts';
import { renewClaims } from './save-job.ts';

/** The same key again. */
export async function resubmitJob(cluster: LocalCluster, job: LocalJob, spec: SchedulerJobSpec): Promise<LocalJob> {
  if (job.record.spec.claims === 0 || spec.claims.length === 0) return job;
  try {
    await renewClaims(cluster, job, spec.claims);
  } catch (error) {
    throw new SchedulerError('unavailable', 'the new claims of the job could not be recorded', { cause: error });
  }
  return job;
}

export function admitJob(cluster: LocalCluster, spec: SchedulerJobSpec): Promise<LocalJob> {
  const serial = cluster.lastSerial + 1;
  const { script: _script, claims, ...rest } = spec;
  const record: JobRecord = {
    version: 1,
    nativeId: String(serial),
    serial,
    spec: { ...rest, claims: claims.length },
    submittedAtMs: cluster.options.clock.now(),
    attempts: [],
  };
  const batch = batchJobOf(cluster, record);
  checkFit(cluster.state, cluster.options.tiers, {
    ...batch,
    tierName: spec.tier,
    timeLimitSeconds: spec.timeLimitSeconds,
  });
  cluster.lastSerial = serial;
  const admitted = createJob(cluster.folders, record, spec).then(
    () => {
      const job: LocalJob = {
        record,
        batch,
        running: undefined,
        ending: undefined,
        unfollow: undefined,
        saved: Promise.resolve(),
      };
      cluster.jobs.set(record.nativeId, job);
      enqueueJob(cluster.state, batch);
      cluster.wake();
      return job;
    },
    (error: unknown) => {
      cluster.keys.delete(spec.key);
      cluster.options.log.error({ err: error, key: spec.key }, 'a job could not be recorded');
      throw new SchedulerError('unavailable', 'the job could not be recorded', { cause: error });
    },
  );
  cluster.keys.set(spec.key, admitted);
  return admitted;
}
