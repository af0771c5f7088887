/**
 * Slurm could not start a job on its node, put it back and holds it until somebody releases it: a full disk there, or, after a crash of slurmctld, a number given out again while
 * the forgotten job of that number still ran (22.05 then drains the node too). Nobody watches at night: it is released, at most a few times, and then left held.
 */
import type { QueueRow } from '../batch-order.ts';
import type { AgentDeps, AgentJob } from './agent-jobs.ts';

/** As 22.05 writes it into the job's reason, and as later releases name it. */
const HELD_AFTER_LAUNCH = /^launch[ _]failed[ _]requeued[ _]held$|^LaunchFailedRequeuedHeld$/i;
const MOST = 3;
/** The node may need a moment, and slurmctld to notice that it is drained. */
const PAUSE_MS = [0, 5000, 30_000] as const;

export const isHeldAfterLaunch = (row: Pick<QueueRow, 'state' | 'reasonCode'>): boolean =>
  (row.state === 'PENDING' || row.state === 'REQUEUE_HOLD') && HELD_AFTER_LAUNCH.test(row.reasonCode);

/** Releases the job where that may help. Counted for the life of this agent; a failure is logged and tried again at the next look. */
export async function retryLaunch(deps: AgentDeps, job: AgentJob, row: QueueRow): Promise<void> {
  if (!isHeldAfterLaunch(row) || job.state.cancelled) return;
  const { released, atMs } = job.launches;
  const nowMs = deps.clock.now();
  if (released >= MOST || nowMs - atMs < (PAUSE_MS[released] ?? 0)) return;
  const about = { job: job.state.order.key, nativeId: row.jobId };
  try {
    await deps.write.release(row.jobId, job.state.unix);
    job.launches = { released: released + 1, atMs: nowMs };
    deps.log.warn({ ...about, released: released + 1 }, 'Slurm could not start a job on its node; it was released');
    if (released + 1 === MOST) deps.log.warn(about, 'that was the last time: should it fail again, it stays held');
  } catch (cause) {
    deps.log.warn({ ...about, err: cause }, 'a job that Slurm could not start could not be released');
  }
}
