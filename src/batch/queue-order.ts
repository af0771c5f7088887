/**
 * The order of the queue: tier priority, then age, then order of submission. Age grows equally for all, so the order
 * is static and a queue is kept sorted by insertion (Slurm: multifactor with QoS weight far above the age weight).
 * Also the order of the running jobs by end, which the shadow time walks.
 */
import type { BatchJob, RunningJob } from './job.ts';
import type { Tier } from './tier.ts';

/** Negative when `a` goes first. */
export function compareQueued(tiers: readonly Tier[], a: BatchJob, b: BatchJob): number {
  if (a.tier !== b.tier) {
    const byPriority = (tiers[b.tier]?.priority ?? 0) - (tiers[a.tier]?.priority ?? 0);
    if (byPriority !== 0) return byPriority;
  }
  return a.submittedAtMs - b.submittedAtMs || a.serial - b.serial;
}

/** Negative when `a` frees its slots first. */
export function compareEnds(a: RunningJob, b: RunningJob): number {
  return a.endsByMs - b.endsByMs || a.job.serial - b.job.serial;
}

/** Index of the first element that does not go before `item`: where it is, or where it belongs. */
export function lowerBound<T>(sorted: readonly T[], item: T, compare: (a: T, b: T) => number): number {
  let low = 0;
  let high = sorted.length;
  // A new job usually belongs at the end: look there first.
  const last = sorted[high - 1];
  if (last === undefined || compare(last, item) < 0) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const probe = sorted[middle];
    if (probe !== undefined && compare(probe, item) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
