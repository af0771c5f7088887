/** Writes a job's record behind its changes: in order, the newest state only. */
import type { StreamClaim } from '../scheduler.ts';
import { removeSecrets, saveClaims, saveRecord } from './job-folder.ts';
import type { LocalCluster, LocalJob } from './local-cluster.ts';

/** Resolves when the record as it is now is on the disk; rejects when it could not be written. */
export function saveJob(cluster: LocalCluster, job: LocalJob): Promise<void> {
  const write = async (): Promise<void> => {
    const { record } = job;
    await saveRecord(cluster.folders, record);
    if (record.ended !== undefined) await removeSecrets(cluster.folders, record);
  };
  const saved = job.saved.then(write, write);
  job.saved = saved;
  saved.catch((error: unknown) => {
    cluster.options.log.error({ err: error, job: job.record.nativeId }, 'the record of a job could not be written');
  });
  return saved;
}

/**
 * A submit repeated after a crash brings new claims, and the streaming nodes know only the newest: the job's next try to
 * exchange them uses these. Nothing is kept for a job that has ended.
 */
export function renewClaims(cluster: LocalCluster, job: LocalJob, claims: readonly StreamClaim[]): Promise<void> {
  const write = async (): Promise<void> => {
    if (job.record.ended === undefined) await saveClaims(cluster.folders, job.record.nativeId, claims);
  };
  const saved = job.saved.then(write, write);
  job.saved = saved;
  saved.catch(() => {}); // the caller hears of it
  return saved;
}
