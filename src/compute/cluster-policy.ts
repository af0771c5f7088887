/**
 * PORT: what a cluster's administrators decide, as the rest of Beamway may change it: tiers (QoS), which project may use which, and reservations. Declared, not commanded: every
 * method may be repeated, repeating what is in force changes nothing, and what it returns was read back from the scheduler. `slurm/` implements it, cluster-policy.conformance.ts
 * holds it to this. Shapes are the wire's, so that nothing is copied field by field.
 */
import type { AccessFact, ReservationFact, ReservationOrder, TierFact } from '../slurm/contract/index.ts';

/** Of what is asked: accounts and users default to none. */
export type ReservationWish = Omit<ReservationOrder, 'accounts' | 'users'> &
  Partial<Pick<ReservationOrder, 'accounts' | 'users'>>;

/**
 * Every method throws SchedulerError: `refused` for what is not ours to change, not mapped, or in use; `invalid` for what the scheduler cannot express; `unavailable` where it is
 * not known to be in force, which says whether the database or the controller lags, and may be repeated.
 */
export interface ClusterPolicy {
  /** All there are, the site's own too. */
  tiers(): Promise<readonly TierFact[]>;
  /** Makes it or changes it. Limits that are absent are lifted. */
  setTier(tier: TierFact): Promise<TierFact>;
  /** One that is not there is removed; one that an association or a job holds is `refused`. */
  removeTier(name: string): Promise<void>;
  /** The account of the project first, then its users: one with a list of their own does not inherit. `not-found` where the cluster has no such account. */
  access(project: string): Promise<readonly AccessFact[]>;
  /** The answer's rows of users show who of them has it. `unknown-tier` where there is none of this name. */
  grant(project: string, tier: string): Promise<readonly AccessFact[]>;
  /** From the account and all its users. Running jobs keep it until they end, pending ones wait, new ones are refused. */
  withdraw(project: string, tier: string): Promise<readonly AccessFact[]>;
  reservations(): Promise<readonly ReservationFact[]>;
  /** Makes it or changes the one of its name. A controller that is killed within about 6 s after may have forgotten it: ask again. */
  reserve(wish: ReservationWish): Promise<ReservationFact>;
  /** Removes it; one in use ends now. */
  endReservation(name: string): Promise<void>;
}

export type { AccessFact, ReservationFact, TierFact };
