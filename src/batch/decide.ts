/**
 * One decision of a batch scheduler: what starts now and who is preempted for whom. Pure: the state is read, never
 * changed, and the same state and time give the same decision. The caller applies it and asks again at each change.
 * Queue order; EASY backfill behind the first blocked job; preemption by tier (paper section 3.3, Slurm preempt/qos).
 */
import { backfill } from './backfill.ts';
import { chooseVictims, type Preemption } from './choose-victims.ts';
import type { BatchJob, Placement, RunningJob } from './job.ts';
import { canEverFit, place } from './place.ts';
import { copyPlan, openPlan, type Plan, planPromise, planStart } from './plan.ts';
import { type Reservation, reserveHead } from './reserve-head.ts';
import type { BatchState } from './state.ts';

export interface DecideOptions {
  /** Jobs looked at behind the first blocked one (Slurm: bf_max_job_test). Default: all. */
  readonly backfillDepth?: number;
}

export interface Decision {
  readonly start: readonly { readonly job: BatchJob; readonly placement: Placement }[];
  readonly preempt: readonly { readonly victim: RunningJob; readonly for: BatchJob }[];
  /** Jobs that start as soon as preempted ones are gone; their slots are held until then. */
  readonly promised: readonly BatchJob[];
  /** The first blocked job: nothing may delay it. */
  readonly head?: BatchJob;
  /** When `head` starts at the latest, by the time limits; given when a backfill had to be judged by it. */
  readonly shadowMs?: number;
  /** Ask again at this time even if nothing happened. */
  readonly nextWakeMs?: number;
}

const NOTHING: Decision = { start: [], preempt: [], promised: [] };

export function decide(state: BatchState, nowMs: number, options: DecideOptions = {}): Decision {
  if (state.queue.length === 0) return NOTHING;
  let plan = openPlan(state);
  let preemptorsLeft = countPreemptors(state);
  let timedLeft = state.timedQueued;
  let depthLeft = options.backfillDepth ?? Number.POSITIVE_INFINITY;
  const start: { readonly job: BatchJob; readonly placement: Placement }[] = [];
  const preempt: { readonly victim: RunningJob; readonly for: BatchJob }[] = [];
  const promised: BatchJob[] = [];
  let head: BatchJob | undefined;
  let reservation: Reservation | undefined;
  let nextWakeMs = Number.POSITIVE_INFINITY;

  for (const job of state.queue) {
    if (head !== undefined && plan.usableTotal === 0 && preemptorsLeft === 0 && timedLeft === 0) break;
    const preemptor = state.tiers[job.tier]?.preemptsAny === true;
    if (preemptor) preemptorsLeft--;
    if (job.notBeforeMs !== undefined) {
      timedLeft--;
      if (job.notBeforeMs > nowMs) {
        nextWakeMs = Math.min(nextWakeMs, job.notBeforeMs);
        continue;
      }
    }
    if (overTierLimit(state, plan, job)) continue;
    if (head !== undefined && depthLeft-- <= 0) continue;

    if (job.nodes * job.slotsPerNode <= plan.usableTotal) {
      let placement: Placement | undefined;
      if (head === undefined) placement = place(state, job, { free: plan.usable });
      else {
        reservation ??= reserveHead(state, plan, { job: head, nowMs });
        if (reservation !== undefined) placement = backfill(state, plan, { job, reservation, nowMs });
      }
      if (placement !== undefined) {
        planStart(state, plan, { job, placement, atMs: nowMs });
        start.push({ job, placement });
        continue;
      }
    }

    if (preemptor) {
      const preemption = chooseVictims(state, plan, job);
      if (preemption !== undefined) {
        const next = tryPromise(state, plan, { job, preemption, head, reservation, nowMs });
        if (next !== undefined) {
          plan = next.plan;
          reservation = next.reservation;
          promised.push(job);
          for (const victim of preemption.victims) preempt.push({ victim, for: job });
          continue;
        }
      }
    }
    if (head === undefined && canEverFit(state, job)) head = job;
  }

  return {
    start,
    preempt,
    promised,
    ...(head === undefined ? {} : { head }),
    ...(reservation === undefined ? {} : { shadowMs: reservation.shadowMs }),
    ...(nextWakeMs === Number.POSITIVE_INFINITY ? {} : { nextWakeMs }),
  };
}

function countPreemptors(state: BatchState): number {
  let count = 0;
  for (const tier of state.tiers) if (tier.preemptsAny) count += state.tierQueued[tier.index] ?? 0;
  return count;
}

/** A whole-node job is judged by the largest nodes it might get: never more than the limit, perhaps a little later. */
export function overTierLimit(state: BatchState, plan: Pick<Plan, 'tierJobs' | 'tierSlots'>, job: BatchJob): boolean {
  const tier = state.tiers[job.tier];
  if (tier === undefined) return true;
  if ((plan.tierJobs[tier.index] ?? 0) >= tier.maxRunningJobs) return true;
  if (tier.maxRunningSlots === Number.POSITIVE_INFINITY) return false;
  let perNode = job.slotsPerNode;
  if (job.wholeNodes === true) for (const slots of state.slots) perNode = Math.max(perNode, slots);
  return (plan.tierSlots[tier.index] ?? 0) + perNode * job.nodes > tier.maxRunningSlots;
}

interface Attempted {
  readonly job: BatchJob;
  readonly preemption: Preemption;
  readonly head: BatchJob | undefined;
  readonly reservation: Reservation | undefined;
  readonly nowMs: number;
}

/** Applies the preemption to a copy, and keeps it only if the reserved job ahead starts no later for it. */
function tryPromise(
  state: BatchState,
  plan: Plan,
  attempted: Attempted,
): { readonly plan: Plan; readonly reservation: Reservation | undefined } | undefined {
  const { job, preemption, head, nowMs } = attempted;
  const promise = { job, placement: preemption.placement, victims: preemption.victims, atMs: nowMs };
  if (head === undefined) {
    planPromise(state, plan, promise);
    return { plan, reservation: undefined };
  }
  const before = attempted.reservation ?? reserveHead(state, plan, { job: head, nowMs });
  const trial = copyPlan(plan);
  planPromise(state, trial, promise);
  const after = reserveHead(state, trial, { job: head, nowMs });
  if (before !== undefined && (after === undefined || after.shadowMs > before.shadowMs)) return undefined;
  return { plan: trial, reservation: after };
}
