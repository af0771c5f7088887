/** The second port over the agent's link. The bounds (whose QoS, whose account, which reservation) are the agent's own; here is only the way to it. */
import { SlurmFailure } from '../../slurm/contract/index.ts';
import type { ClusterPolicy } from '../cluster-policy.ts';
import { SchedulerError } from '../scheduler.ts';
import type { AgentLink } from './agent-links.ts';

/** sacctmgr takes seconds, and a change is looked after for ten. */
const PATIENCE = { timeoutMs: 60_000 };

export function slurmClusterPolicy(link: Pick<AgentLink, 'ask'>): ClusterPolicy {
  const ask: AgentLink['ask'] = (act, input) =>
    link.ask(act, input, PATIENCE).catch((cause: unknown) => {
      if (!(cause instanceof SlurmFailure)) throw cause;
      throw new SchedulerError(cause.kind, cause.message, { cause });
    });
  return {
    tiers: async () => (await ask('tiers', {})).tiers,
    setTier: async (tier) => (await ask('setTier', { tier })).tier,
    removeTier: async (name) => void (await ask('removeTier', { name })),
    access: async (project) => (await ask('access', { project })).access,
    grant: async (project, tier) => (await ask('grant', { project, tier })).access,
    withdraw: async (project, tier) => (await ask('withdraw', { project, tier })).access,
    reservations: async () => (await ask('reservations', {})).reservations,
    reserve: async (order) => (await ask('reserve', { reservation: order })).reservation,
    endReservation: async (name) => void (await ask('endReservation', { name })),
  };
}
