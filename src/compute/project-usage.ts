/**
 * What a project used, in node-hours: for each attempt and node the share of the node's slots that it held, times wall time. A job that holds 2 of a
 * node's 4 slots for an hour used half a node-hour; queue time is free, every attempt counts, preempted ones too.
 */
import type { Queries } from '../database/index.ts';
import type { Facility } from '../facility/index.ts';
import { attemptsByCluster, slotSecondsByNode, type UsageInterval } from './project-usage-store.ts';

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
  for (const { cluster, node, slotSeconds } of await slotSecondsByNode(deps.db, interval)) {
    // A node that left facility.yaml counts by the slots that jobs held, as if it had had one: never less than was used.
    const slots =
      deps.facility.clusters.find((c) => c.name === cluster)?.nodes.find((n) => n.name === node)?.slots ?? 1;
    hours.set(cluster, (hours.get(cluster) ?? 0) + slotSeconds / slots / 3600);
  }
  return [...new Set([...hours.keys(), ...attempts.keys()])]
    .sort()
    .map((cluster) => ({ cluster, nodeHours: hours.get(cluster) ?? 0, attempts: attempts.get(cluster) ?? 0 }));
}
