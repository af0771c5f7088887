// The second port over the link: each method is one act, and failures are SchedulerErrors. The acts themselves: src/slurm/policy/open-policy.live.test.ts, on a real Slurm.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlurmFailure } from '../../slurm/contract/index.ts';
import { SchedulerError } from '../scheduler.ts';
import type { AgentLink } from './agent-links.ts';
import { slurmClusterPolicy } from './slurm-cluster-policy.ts';

test('each method asks its act and gives what it answered; a failure keeps its kind', async () => {
  const asked: (readonly [string, unknown])[] = [];
  const access = [{ account: 'demo', tiers: ['batch', 'bw-w'] }];
  let failure: SlurmFailure | undefined;
  // A fake link that answers everything at once.
  const link = {
    ask: async (act: string, input: unknown) => {
      asked.push([act, input]);
      if (failure !== undefined) throw failure;
      return { access, tiers: [], reservations: [] };
    },
  } as unknown as AgentLink;
  const policy = slurmClusterPolicy(link);
  assert.deepEqual(await policy.grant('demo', 'bw-w'), access);
  assert.deepEqual(await policy.withdraw('demo', 'bw-w'), access);
  await policy.tiers();
  await policy.removeTier('bw-w');
  await policy.endReservation('bw-r');
  assert.deepEqual(asked, [
    ['grant', { project: 'demo', tier: 'bw-w' }],
    ['withdraw', { project: 'demo', tier: 'bw-w' }],
    ['tiers', {}],
    ['removeTier', { name: 'bw-w' }],
    ['endReservation', { name: 'bw-r' }],
  ]);
  failure = new SlurmFailure({ kind: 'refused', message: 'not ours' });
  await assert.rejects(
    policy.setTier({
      name: 'urgent',
      priority: 1,
      preempts: [],
      preemptMode: 'requeue',
      graceSeconds: 0,
      denyOnLimit: false,
    }),
    (e) => e instanceof SchedulerError && e.kind === 'refused',
  );
});
