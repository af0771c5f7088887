// The busy little cluster: batch jobs that fill every slot, and what became of them. Owns no process; jobs are the facility's.
import type { Client, Result } from '../../../clients/typescript/src/index.ts';
import type { GanttBar } from '../report/report-input.ts';

type Job = Result<'job.show'>;

/** Work in small steps, so that a request to end is heard at once. Prints where it is: its output file tells of both attempts. */
const SCRIPT = `#!/bin/sh
trap 'exit 143' TERM
i=0
while [ "$i" -lt "$1" ]; do
  i=$((i + 1))
  echo "attempt $BEAMWAY_ATTEMPT: step $i of $1"
  sleep 0.25 & wait $!
done
`;

export type BatchLoad = { readonly jobs: readonly string[]; readonly slots: number };

/** Fills the cluster, and leaves a few jobs waiting. `steps` of a quarter second each. */
export async function fillCluster(client: Client, steps: number): Promise<BatchLoad> {
  const { clusters } = await client.call('cluster.list');
  const slots = clusters.flatMap((cluster) => cluster.nodes).reduce((sum, node) => sum + node.slots, 0);
  const jobs: string[] = [];
  for (let i = 0; i < slots / 2 + 3; i++) {
    const job = await client.call('job.submit', {
      body: {
        name: `batch-${i + 1}`,
        tier: 'batch',
        script: SCRIPT,
        arguments: [String(steps + (i % 3) * 8)],
        slotsPerNode: 2,
        timeLimitSeconds: 600,
        requeue: true,
      },
    });
    jobs.push(job.id);
  }
  return { jobs, slots };
}

export async function until<T>(look: () => Promise<T | undefined>, withinMs: number, what: string): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`${what}: not within ${withinMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export async function clusterIsFull(client: Client): Promise<true | undefined> {
  const { clusters } = await client.call('cluster.list');
  return clusters.every((cluster) => cluster.nodes.every((node) => node.free === 0)) ? true : undefined;
}

export async function allJobs(client: Client): Promise<readonly Job[]> {
  return (await client.call('job.list', { query: { limit: 1000 } })).jobs;
}

export const wasPreempted = (job: Job): boolean => job.attempts.some((attempt) => attempt.outcome === 'preempted');

/** Preempted and started again. */
export const wasResumed = (job: Job): boolean =>
  wasPreempted(job) && job.attempts.at(-1)?.outcome !== 'preempted' && job.attempts.length > 1;

/** One bar for each node of each attempt; what still runs ends now. */
export function ganttBars(jobs: readonly Job[], nowMs: number): readonly GanttBar[] {
  return jobs.flatMap((job) =>
    job.attempts.flatMap((attempt) =>
      attempt.placement.map(({ node, slots }) => ({
        job: job.id,
        name: job.name,
        tier: job.tier,
        attempt: attempt.attempt,
        node,
        slots,
        startMs: Date.parse(attempt.startedAt),
        endMs: attempt.endedAt === null ? nowMs : Date.parse(attempt.endedAt),
        outcome: outcomeOf(attempt.outcome),
      })),
    ),
  );
}

function outcomeOf(outcome: string | null): GanttBar['outcome'] {
  if (outcome === null) return 'running';
  if (outcome === 'completed' || outcome === 'preempted' || outcome === 'cancelled') return outcome;
  return 'failed';
}
