/**
 * EASY backfill: a job behind the reserved one starts now if it is over by the shadow time, or if it takes only slots
 * that the reserved job leaves over. Pure but for counting down the reservation's spare slots.
 */
import type { BatchJob, Placement } from './job.ts';
import { place } from './place.ts';
import type { Plan } from './plan.ts';
import type { Reservation } from './reserve-head.ts';
import type { BatchState } from './state.ts';

export function endsInTime(job: BatchJob, reservation: Reservation, nowMs: number): boolean {
  return nowMs + job.timeLimitMs <= reservation.shadowMs;
}

/** A placement for `job` that cannot delay the reserved one; undefined when there is none. */
export function backfill(
  state: BatchState,
  plan: Plan,
  at: { readonly job: BatchJob; readonly reservation: Reservation; readonly nowMs: number },
): Placement | undefined {
  const { job, reservation, nowMs } = at;
  if (endsInTime(job, reservation, nowMs)) return place(state, job, { free: plan.usable });
  const placement = place(state, job, { free: plan.usable, bound: reservation.spare });
  for (const part of placement ?? []) reservation.spare[part.node] = (reservation.spare[part.node] ?? 0) - part.slots;
  return placement;
}
