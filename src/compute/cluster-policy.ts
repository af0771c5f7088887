/**
 * PORT, the second one to a cluster: its QoS levels, which project may use them, and its reservations. Serves windows and maintenance. Everything is read back after it was
 * written, and asking again for what is there changes nothing. Only what is ours by name (bw-…) is ever changed. Every method: SchedulerError, `unavailable` may be repeated.
 */
import type { AccessFact, ReservationFact, ReservationOrder, TierFact } from '../slurm/contract/index.ts';

export interface ClusterPolicy {
  /** All of the cluster's, ours and the site's. */
  tiers(): Promise<readonly TierFact[]>;
  /** Makes it or changes it to be so. SchedulerError: refused (not ours), invalid. */
  setTier(tier: TierFact): Promise<TierFact>;
  /** One that is not there is gone already. SchedulerError: invalid where jobs or accounts still use it. */
  removeTier(name: string): Promise<void>;
  /** Of the project's account and of its users, who do not inherit where they have a list of their own. */
  access(project: string): Promise<readonly AccessFact[]>;
  grant(project: string, tier: string): Promise<readonly AccessFact[]>;
  /** Running jobs go on; waiting ones cannot start any more. */
  withdraw(project: string, tier: string): Promise<readonly AccessFact[]>;
  reservations(): Promise<readonly ReservationFact[]>;
  /** By its name: makes it, or changes it to be so. */
  reserve(order: ReservationOrder): Promise<ReservationFact>;
  endReservation(name: string): Promise<void>;
}

export type { AccessFact, ReservationFact, ReservationOrder, TierFact };
