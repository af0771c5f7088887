/** 2,000 jobs through the API in a small cluster, a fifth of them urgent: each known once, each ended, the audit chain intact. */
import assert from 'node:assert/strict';
import type { Soak } from './soak.ts';
import { type SoakSystem, startSoakSystem } from './system.ts';

let system: SoakSystem | undefined;

/** Park and Miller's generator: enough to vary tiers and sizes, the same on every machine. */
function generator(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

export const jobCycles: Soak = {
  name: 'job-cycles',
  promise: 'every acknowledged job ends, a repeated submission is the same job, preempted jobs are resumed',
  unit: 'jobs',
  total: 2000,
  chunk: 100,
  async run({ seed }, { index, count }) {
    system ??= await startSoakSystem();
    const { client } = system;
    const random = generator(seed * 1_000 + index);
    const ids = new Set<string>();
    let repeated = 0;
    for (let i = 0; i < count; i++) {
      const tier = random() < 0.2 ? 'urgent' : 'batch';
      const key = `soak-${seed}-${index}-${i}`;
      const body = {
        tier,
        script: `#!/bin/sh\nexec sleep ${(random() * 0.4).toFixed(2)}\n`,
        slotsPerNode: 1 + Math.floor(random() * 4),
        timeLimitSeconds: 60,
      };
      const job = await client.call('job.submit', { body, idempotencyKey: key });
      ids.add(job.id);
      if (random() < 0.2) {
        const again = await client.call('job.submit', { body, idempotencyKey: key });
        assert.equal(again.id, job.id);
        repeated += 1;
      }
    }
    assert.equal(ids.size, count);
    let preempted = 0;
    for (const id of ids) {
      for (;;) {
        const job = await client.call('job.show', { params: { id } });
        if (job.state === 'completed') {
          if (job.attempts.some((a) => a.outcome === 'preempted')) preempted += 1;
          break;
        }
        assert.ok(
          ['accepted', 'queued', 'running', 'completing', 'preempting'].includes(job.state),
          `${id} is ${job.state}: ${job.reason}`,
        );
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    return { repeated, preempted };
  },
  async close() {
    await system?.stop();
    system = undefined;
  },
};
