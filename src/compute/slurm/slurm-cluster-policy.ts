/** The ClusterPolicy port over the link to a Slurm agent, which holds the rights and the bounds. Keeps nothing. */
import { type ActName, type ActOutput, SlurmFailure } from '../../slurm/contract/index.ts';
import type { ClusterPolicy } from '../cluster-policy.ts';
import { SchedulerError } from '../scheduler.ts';
import type { ActQuestion } from './agent-links.ts';

/** Asks the agent; rejects with SlurmFailure. */
export type AskAgent = <A extends ActName>(act: A, input: ActQuestion<A>) => Promise<ActOutput<A>>;

export function slurmClusterPolicy(ask: AskAgent): ClusterPolicy {
  const asked: AskAgent = async (act, input) => {
    try {
      return await ask(act, input);
    } catch (cause) {
      if (!(cause instanceof SlurmFailure)) throw cause;
      const { kind, message, limit } = cause;
      throw new SchedulerError(kind, message, { cause, ...(limit !== undefined && { limit }) });
    }
  };
  return {
    tiers: async () => (await asked('tiers', {})).tiers,
    setTier: async (tier) => (await asked('setTier', { tier })).tier,
    async removeTier(name) {
      await asked('removeTier', { name });
    },
    access: async (project) => (await asked('access', { project })).access,
    grant: async (project, tier) => (await asked('grant', { project, tier })).access,
    withdraw: async (project, tier) => (await asked('withdraw', { project, tier })).access,
    reservations: async () => (await asked('reservations', {})).reservations,
    reserve: async (wish) => (await asked('reserve', { reservation: wish })).reservation,
    async endReservation(name) {
      await asked('endReservation', { name });
    },
  };
}
