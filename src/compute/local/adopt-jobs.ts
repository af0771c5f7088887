/**
 * After a restart: puts every job of the state folder back where it was. Queued ones queue; an attempt that runs is
 * followed again, never started anew; one that ended meanwhile is finished with what its runner wrote; one whose runner
 * is dead is cleaned up; one that no runner took is revoked and queued again.
 */
import { enqueueJob, holdSlots, type PlacedSlots } from '../../batch/index.ts';
import { attemptPaths, type EndOrder } from './attempt-files.ts';
import { readJson } from './durable-file.ts';
import { followAttempt, settleAttempt } from './follow-attempt.ts';
import { attemptFolder, removeSecrets } from './job-folder.ts';
import { type AttemptRecord, type JobRecord, openAttempt } from './job-record.ts';
import { batchJobOf, type LocalCluster, type LocalJob } from './local-cluster.ts';
import { signalRunner } from './order-end.ts';

export async function adoptJobs(cluster: LocalCluster, records: readonly JobRecord[]): Promise<void> {
  for (const record of records) {
    const job: LocalJob = {
      record,
      batch: batchJobOf(cluster, record),
      running: undefined,
      ending: undefined,
      unfollow: undefined,
      saved: Promise.resolve(),
    };
    cluster.jobs.set(record.nativeId, job);
    cluster.keys.set(record.spec.key, Promise.resolve(job));
    cluster.lastSerial = Math.max(cluster.lastSerial, record.serial);
    // A crash may have come between the record of a job's end and the removal of its secrets.
    if (record.ended !== undefined && record.spec.claims > 0) await removeSecrets(cluster.folders, record);
    if (record.ended !== undefined) continue;
    const attempt = openAttempt(record);
    if (attempt === undefined) enqueueJob(cluster.state, job.batch);
    else await adoptAttempt(cluster, job, attempt);
  }
}

async function adoptAttempt(cluster: LocalCluster, job: LocalJob, attempt: AttemptRecord): Promise<void> {
  const paths = attemptPaths(attemptFolder(cluster.folders, job.record.nativeId, attempt.attempt));
  const { nodes } = cluster.options;
  const placement: PlacedSlots[] = [];
  for (const part of attempt.placement) {
    const node = nodes.findIndex((n) => n.name === part.node);
    if (node < 0) continue; // taken out of the configuration; the job goes on there
    placement.push({ node, slots: part.slots.length });
    for (const slot of part.slots) cluster.taken[node]?.add(slot);
  }
  const startedAtMs = attempt.startedAtMs ?? attempt.placedAtMs;
  job.ending = (await readJson(paths.end)) as EndOrder | undefined;
  const endsByMs =
    job.ending === undefined ? startedAtMs + job.batch.timeLimitMs : job.ending.atMs + job.ending.graceMs;
  job.running = holdSlots(cluster.state, {
    job: job.batch,
    placement,
    startedAtMs,
    endsByMs,
    preempting: job.ending !== undefined,
  });
  if (!(await settleAttempt(cluster, job, { gone: true }))) return;
  followAttempt(cluster, job);
  // The crash may have come between the order and its signal; a second signal says nothing new.
  if (job.ending !== undefined) await signalRunner(paths.started);
}
