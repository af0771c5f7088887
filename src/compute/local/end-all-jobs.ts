/** Ends whatever runs, for the end of the whole cluster. Resolves when nothing holds a slot any more. */
import { openAttempt } from './job-record.ts';
import type { LocalCluster } from './local-cluster.ts';
import { orderEnd } from './order-end.ts';

export async function endAllJobs(cluster: LocalCluster): Promise<void> {
  if (cluster.phase === 'closed') return;
  cluster.phase = 'ending';
  await Promise.allSettled([...cluster.keys.values()]);
  const open = [...cluster.jobs.values()].filter((job) => openAttempt(job.record) !== undefined);
  const ended = new Promise<void>((resolve) => {
    const look = (): void => {
      if (open.some((job) => openAttempt(job.record) !== undefined)) return;
      cluster.listeners.delete(look);
      resolve();
    };
    cluster.listeners.add(look);
    look();
  });
  const atMs = cluster.options.clock.now();
  await Promise.allSettled(
    open.map((job) =>
      orderEnd(cluster, job, { cause: 'shutdown', graceMs: cluster.state.tiers[job.batch.tier]?.graceMs ?? 0, atMs }),
    ),
  );
  await ended;
}
