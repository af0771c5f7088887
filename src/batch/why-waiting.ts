/**
 * Says in plain words why a queued job does not run, from the state after a decision was applied. Pure.
 */
import { type Decision, overTierLimit } from './decide.ts';
import type { BatchJob } from './job.ts';
import { canEverFit } from './place.ts';
import { openPlan } from './plan.ts';
import { reserveHead } from './reserve-head.ts';
import type { BatchState } from './state.ts';

export function whyWaiting(
  state: BatchState,
  decision: Decision,
  at: { readonly job: BatchJob; readonly nowMs: number },
): string {
  const { job, nowMs } = at;
  if (job.notBeforeMs !== undefined && job.notBeforeMs > nowMs)
    return `not to start before ${new Date(job.notBeforeMs).toISOString()}`;
  if (decision.promised.some((p) => p.serial === job.serial)) return 'waits for preempted jobs to end';
  const tier = state.tiers[job.tier];
  if (overTierLimit(state, state, job)) return `the limit of tier ${tier?.name ?? '?'} is reached`;
  if (!canEverFit(state, job)) return 'the usable nodes are too few or too small for it';
  if (decision.head?.serial !== job.serial) return 'waits behind jobs that come first';
  const shadowMs = reserveHead(state, openPlan(state), { job, nowMs })?.shadowMs;
  return shadowMs === undefined
    ? 'first in line, waits for slots'
    : `first in line, waits for slots; starts by ${new Date(shadowMs).toISOString()}`;
}
