/**
 * What a project used, in node-hours: for each attempt and node the share of the node's slots that it held, times wall time. A job that holds 2 of a
 * node's 4 slots for an hour used half a node-hour; queue time is free, every attempt counts, preempted ones too.
 */
import type { Queries } from '../database/index.ts';
import type { Cluster, Facility } from '../facility/index.ts';
import { attemptsByCluster, type NodeUse, slotSecondsByNode, type UsageInterval } from './project-usage-store.ts';

export interface ClusterUsage {
  readonly cluster: string;
  readonly nodeHours: number;
  readonly attempts: number;
}

export async function projectUsage(
  deps: { readonly db: Queries; readonly facility: Pick<Facility, 'clusters'> },
  interval: UsageInterval,
): Promise<readonly ClusterUsage[]> {
  const attempts = await attemptsByCluster(deps.db, interval);
  const hours = new Map<string, number>();
  for (const use of await slotSecondsByNode(deps.db, interval)) {
    const cluster = deps.facility.clusters.find((c) => c.name === use.cluster);
    hours.set(use.cluster, (hours.get(use.cluster) ?? 0) + nodeSeconds(cluster, use) / 3600);
  }
  return [...new Set([...hours.keys(), ...attempts.keys()])]
    .sort()
    .map((cluster) => ({ cluster, nodeHours: hours.get(cluster) ?? 0, attempts: attempts.get(cluster) ?? 0 }));
}

function nodeSeconds(cluster: Cluster | undefined, use: NodeUse): number {
  if (cluster?.scheduler === 'slurm')
    return cluster.slotsPerNode === undefined ? use.nodeSeconds : use.slotSeconds / cluster.slotsPerNode;
  // A node that left facility.yaml counts by the slots that jobs held, as if it had had one: never less than was used.
  return use.slotSeconds / (cluster?.nodes.find((n) => n.name === use.node)?.slots ?? 1);
}
