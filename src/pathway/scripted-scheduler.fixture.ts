/** A scheduler for tests that runs nothing: jobs stand where they are put. Owns its jobs; survives whatever its callers do not. */
import { type Scheduler, SchedulerError } from '../compute/index.ts';

type Native = Awaited<ReturnType<Scheduler['submit']>>;

export interface ScriptedScheduler extends Scheduler {
  /** Puts every job that has not ended into this state. */
  turnAll(state: Native['state']): void;
}

export function scriptedScheduler(): ScriptedScheduler {
  const jobs = new Map<string, Native>();
  const ended = (job: Native): boolean => !['queued', 'running'].includes(job.state);
  const found = (nativeId: string): Native => {
    const job = [...jobs.values()].find((j) => j.nativeId === nativeId);
    if (job === undefined) throw new SchedulerError('not-found', `no job ${nativeId}`);
    return job;
  };
  return {
    features: new Set(),
    async submit(spec) {
      const { key, name, project, user, tier, nodes, slotsPerNode, timeLimitSeconds, requeue } = spec;
      const asked = { key, name, project, user, tier, nodes, slotsPerNode, timeLimitSeconds, requeue };
      const job = jobs.get(key) ?? {
        ...asked,
        nativeId: String(jobs.size + 1),
        state: 'queued',
        reason: '',
        submittedAtMs: 0,
        attempts: [],
      };
      jobs.set(key, job);
      return job;
    },
    async cancel(nativeId) {
      const job = found(nativeId);
      if (!ended(job)) jobs.set(job.key, { ...job, state: 'cancelled' });
      return found(nativeId);
    },
    show: async (nativeId) => found(nativeId),
    list: async () => [...jobs.values()],
    async changes() {
      return { cursor: '', complete: true, jobs: [...jobs.values()] };
    },
    output: async () => ({ bytes: Buffer.alloc(0), size: 0 }),
    nodes: async () => [],
    tiers: async () => [],
    watch: () => () => undefined,
    close: async () => undefined,
    turnAll(state) {
      for (const [key, job] of jobs) if (!ended(job)) jobs.set(key, { ...job, state });
    },
  };
}
