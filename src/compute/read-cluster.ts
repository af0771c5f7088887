/** What a cluster's own tools say of it, to whoever asks: partitions, nodes, reservations, health. A cluster whose scheduler is ours has nodes only. */
import { Problem } from '../problems.ts';
import type { ClusterFacts, Diagnostics, NodeFact, PartitionFact, ReservationFact } from './cluster-facts.ts';
import type { ComputeDeps } from './deps.ts';
import type { Scheduler } from './scheduler.ts';
import { asked } from './scheduler-problem.ts';

type Deps = Pick<ComputeDeps, 'schedulers'>;

/** Throws `not-found`. */
function schedulerOf({ schedulers }: Deps, cluster: string): Scheduler {
  const scheduler = schedulers.get(cluster);
  if (scheduler === undefined) throw new Problem('not-found', `No cluster ${cluster}.`);
  return scheduler;
}

/** Throws `not-found`, `not-supported-here`. */
export function factsOf(deps: Deps, cluster: string, what: string): ClusterFacts {
  const { facts } = schedulerOf(deps, cluster);
  if (facts === undefined) throw new Problem('not-supported-here', `Cluster ${cluster} has no ${what}.`);
  return facts;
}

/** Each throws `not-found`, `unavailable`, and all but the nodes `not-supported-here`. */
export function clusterPartitions(deps: Deps, cluster: string): Promise<readonly PartitionFact[]> {
  return asked(() => factsOf(deps, cluster, 'partitions').partitions());
}

export function clusterReservations(deps: Deps, cluster: string): Promise<readonly ReservationFact[]> {
  return asked(() => factsOf(deps, cluster, 'reservations').reservations());
}

export function clusterDiagnostics(deps: Deps, cluster: string): Promise<Diagnostics> {
  return asked(() => factsOf(deps, cluster, 'diagnostics').diagnostics());
}

export type ClusterNode = Pick<NodeFact, 'name' | 'slots' | 'free' | 'state'> & Partial<NodeFact>;

export function clusterNodes(deps: Deps, cluster: string): Promise<readonly ClusterNode[]> {
  const scheduler = schedulerOf(deps, cluster);
  return asked<readonly ClusterNode[]>(() => scheduler.facts?.nodes() ?? scheduler.nodes());
}
