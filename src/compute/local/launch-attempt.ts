/**
 * Starts a job where the decision placed it. The slots are taken at once; the record of the attempt is on the disk
 * before a runner hears of it, so a crash between the two can be told from one before or after.
 */
import { randomBytes } from 'node:crypto';
import { numberSlots, type Placement, slotsOf, startJob } from '../../batch/index.ts';
import { thisBoot } from '../../process-identity.ts';
import type { AttemptOrder } from './attempt-files.ts';
import { finishAttempt } from './finish-attempt.ts';
import { followAttempt, settleAttempt } from './follow-attempt.ts';
import { claimsPath, createAttempt, scriptPath, workFolder } from './job-folder.ts';
import { type AttemptRecord, openAttempt, withAttempt } from './job-record.ts';
import type { LocalCluster, LocalJob } from './local-cluster.ts';
import { launched } from './order-end.ts';
import { saveJob } from './save-job.ts';

/** How long a job waits after it could not be started for a reason of ours, such as a full disk. */
const START_BACKOFF_MS = 2000;

const PLAIN_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function launchAttempt(cluster: LocalCluster, job: LocalJob, placement: Placement): void {
  const { nodes, clock } = cluster.options;
  const numbers = numberSlots(placement, nodes, cluster.taken);
  const nowMs = clock.now();
  job.running = startJob(cluster.state, job.batch, { placement, atMs: nowMs });
  for (const [i, part] of placement.entries()) for (const slot of numbers[i] ?? []) cluster.taken[part.node]?.add(slot);
  const attempt: AttemptRecord = {
    attempt: (job.record.attempts.at(-1)?.attempt ?? 0) + 1,
    placedAtMs: nowMs,
    placement: placement.map((part, i) => ({ node: nodes[part.node]?.name ?? '', slots: numbers[i] ?? [] })),
    cookie: randomBytes(16).toString('hex'),
    bootId: thisBoot(),
  };
  job.record = withAttempt(job.record, attempt);
  const done = handOver(cluster, job, {
    attempt,
    order: orderOf(cluster, job, { attempt, slots: slotsOf(placement) }),
  });
  launched.set(
    job,
    done.catch((error: unknown) => {
      cluster.options.log.error({ err: error, job: job.record.nativeId }, 'an attempt could not be started');
      if (openAttempt(job.record)?.attempt !== attempt.attempt || cluster.phase === 'closed') return;
      finishAttempt(cluster, job, {
        kind: 'not-started',
        detail: error instanceof Error ? error.message : String(error),
        retryAfterMs: START_BACKOFF_MS,
      });
    }),
  );
}

async function handOver(
  cluster: LocalCluster,
  job: LocalJob,
  { attempt, order }: { readonly attempt: AttemptRecord; readonly order: AttemptOrder },
): Promise<void> {
  const [folder] = await Promise.all([
    createAttempt(cluster.folders, job.record.nativeId, order),
    saveJob(cluster, job),
  ]);
  if (cluster.phase === 'closed') return; // found again, and revoked, at the next start
  if (job.ending !== undefined) {
    finishAttempt(cluster, job, { kind: 'not-started', detail: 'was ended before it started' });
    return;
  }
  followAttempt(cluster, job);
  cluster.pool.run(folder, () => {
    if (cluster.phase === 'closed' || openAttempt(job.record)?.attempt !== attempt.attempt) return;
    settleAttempt(cluster, job, { gone: true, retryAfterMs: START_BACKOFF_MS }).catch((error: unknown) => {
      cluster.options.log.error({ err: error, job: job.record.nativeId }, 'the end of a runner could not be settled');
    });
  });
}

function orderOf(
  cluster: LocalCluster,
  job: LocalJob,
  { attempt, slots }: { readonly attempt: AttemptRecord; readonly slots: number },
): AttemptOrder {
  const { folders, options } = cluster;
  const { nativeId, spec } = job.record;
  return {
    attempt: attempt.attempt,
    key: spec.key,
    scriptPath: scriptPath(folders, nativeId),
    arguments: spec.arguments,
    environment: {
      PATH: PLAIN_PATH,
      ...options.environment,
      ...spec.environment,
      BEAMWAY_CLUSTER: options.cluster,
      BEAMWAY_JOB_ID: spec.key,
      BEAMWAY_NATIVE_ID: nativeId,
      BEAMWAY_ATTEMPT: String(attempt.attempt),
      BEAMWAY_NODES: attempt.placement.map((part) => part.node).join(','),
      BEAMWAY_SLOTS: String(slots),
      BEAMWAY_PLACEMENT: attempt.placement.map((part) => `${part.node}:${part.slots.join(',')}`).join(' '),
    },
    workDir: spec.workDir ?? workFolder(folders, nativeId),
    cookie: attempt.cookie,
    timeLimitMs: spec.timeLimitSeconds * 1000,
    killGraceMs: cluster.killGraceMs,
    ...(spec.claims > 0 ? { claimsPath: claimsPath(folders, nativeId) } : {}),
    ...(options.runAs === undefined ? {} : { runAs: options.runAs }),
  };
}
