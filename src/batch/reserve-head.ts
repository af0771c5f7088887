/**
 * EASY's reservation (Lifka 1995; Mu'alem & Feitelson 2001): the first blocked job gets the earliest time at which, by
 * the time limits of what runs, it fits. That is its shadow time; a later job may start only if it does not move it.
 */
import type { BatchJob, Placement } from './job.ts';
import { countFitting, needOn, place } from './place.ts';
import type { Plan } from './plan.ts';
import type { BatchState } from './state.ts';

export interface Reservation {
  readonly job: BatchJob;
  /** Never before `now`: a job past its limit counts as ending now. */
  readonly shadowMs: number;
  /** Slots per node that a job running past the shadow time may take; the planner counts them down. */
  readonly spare: Int32Array;
}

/** The earliest start of `job`; undefined when no end of any job would ever make room. */
export function reserveHead(
  state: BatchState,
  plan: Plan,
  at: { readonly job: BatchJob; readonly nowMs: number },
): Reservation | undefined {
  const { job, nowMs } = at;
  const held = plan.held;
  // A promised job counts as running from now, so a node may stay below zero until the victim it waits for is gone.
  const free = held === undefined ? plan.now.slice() : plan.now.map((slots, n) => slots - (held.promised[n] ?? 0));
  let fitting = countFitting(state, job, free);
  let shadowMs = fitting >= job.nodes ? nowMs : undefined;
  const release = (placement: Placement): void => {
    for (const part of placement) {
      const before = free[part.node] ?? 0;
      const need = needOn(state, job, part.node);
      free[part.node] = before + part.slots;
      if (before < need && before + part.slots >= need) fitting++;
    }
  };

  const others = plan.releases.length > 1 ? plan.releases.toSorted((a, b) => a.endsByMs - b.endsByMs) : plan.releases;
  const running = state.running;
  let r = 0;
  let o = 0;
  for (;;) {
    const first = running[r];
    if (first !== undefined && plan.victims.has(first)) {
      r++;
      continue;
    }
    const second = others[o];
    const next = first !== undefined && (second === undefined || first.endsByMs <= second.endsByMs) ? first : second;
    if (next === undefined) break;
    const endsMs = Math.max(nowMs, next.endsByMs);
    if (shadowMs !== undefined && endsMs > shadowMs) break;
    if (next === first) r++;
    else o++;
    release(next.placement);
    if (shadowMs === undefined && fitting >= job.nodes) shadowMs = endsMs;
  }
  if (shadowMs === undefined) return undefined;
  const reserved = place(state, job, { free });
  if (reserved === undefined) return undefined;
  for (const part of reserved) free[part.node] = (free[part.node] ?? 0) - part.slots;
  return { job, shadowMs, spare: free };
}
