/**
 * The heart beat of the local cluster: whenever something changed or a time is reached, one decision of the model,
 * applied at once. The only caller of `decide`.
 */
import { decide } from '../../batch/index.ts';
import { launchAttempt } from './launch-attempt.ts';
import { type LocalCluster, tellListeners } from './local-cluster.ts';
import { orderEnd } from './order-end.ts';

/** From here on every wake is followed by one decision, applied at once. Returns the way to end the timer. */
export function driveCluster(cluster: LocalCluster): () => void {
  const { clock } = cluster.options;
  let due = false;
  let disarm = (): void => {};
  const turn = (): void => {
    due = false;
    disarm();
    if (cluster.phase === 'open') {
      const nowMs = clock.now();
      const decision = decide(cluster.state, nowMs);
      cluster.decision = decision;
      for (const { job, placement } of decision.start) {
        const started = cluster.jobs.get(job.id);
        if (started !== undefined) launchAttempt(cluster, started, placement);
      }
      for (const { victim, for: preemptor } of decision.preempt) {
        const job = cluster.jobs.get(victim.job.id);
        const graceMs = cluster.state.tiers[victim.job.tier]?.graceMs ?? 0;
        if (job === undefined) continue;
        orderEnd(cluster, job, { cause: 'preempt', graceMs, atMs: nowMs, forJob: preemptor.id }).catch(
          (error: unknown) => {
            cluster.options.log.error({ err: error, job: victim.job.id }, 'a preemption could not be ordered');
          },
        );
      }
      if (decision.nextWakeMs !== undefined) disarm = clock.after(decision.nextWakeMs - nowMs, cluster.wake);
    }
    if (cluster.phase !== 'closed') tellListeners(cluster);
  };
  cluster.wake = () => {
    if (due || cluster.phase === 'closed') return;
    due = true;
    setImmediate(turn);
  };
  cluster.wake();
  return () => disarm();
}
