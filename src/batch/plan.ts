/**
 * The working copy of one decision: what is free now, what was started, who was told to end, and which jobs were
 * promised the slots that are about to come free. Owned by `decide`; nothing of it outlives the call.
 *
 * Per node: `now` = free after this decision's starts; `freeing` = slots of preempted jobs still in grace; `promised` =
 * slots held for preemptors. Others may use min(now, now + freeing - promised): never what a preemptor waits for.
 */
import { type BatchJob, type Placement, type RunningJob, slotsOf } from './job.ts';
import type { BatchState } from './state.ts';

/** Slots that come free at a time, beside those of the state's running jobs. */
export interface Release {
  readonly placement: Placement;
  readonly endsByMs: number;
}

interface Held {
  readonly freeing: Int32Array;
  readonly promised: Int32Array;
  freeingUntilMs: number;
}

export interface Plan {
  readonly now: Int32Array;
  /** What may be given now; the same array as `now` while nothing is promised. */
  usable: Int32Array;
  usableTotal: number;
  held: Held | undefined;
  readonly releases: Release[];
  readonly victims: Set<RunningJob>;
  readonly tierJobs: Int32Array;
  readonly tierSlots: Int32Array;
}

export function openPlan(state: BatchState): Plan {
  const now = state.free.slice();
  let usableTotal = 0;
  for (let n = 0; n < now.length; n++) if (state.usable[n] === 1) usableTotal += now[n] ?? 0;
  return {
    now,
    usable: now,
    usableTotal,
    held: undefined,
    releases: [],
    victims: new Set(),
    tierJobs: state.tierJobs.slice(),
    tierSlots: state.tierSlots.slice(),
  };
}

export function copyPlan(plan: Plan): Plan {
  const now = plan.now.slice();
  const held = plan.held;
  return {
    ...plan,
    now,
    usable: plan.usable === plan.now ? now : plan.usable.slice(),
    held: held && { ...held, freeing: held.freeing.slice(), promised: held.promised.slice() },
    releases: [...plan.releases],
    victims: new Set(plan.victims),
    tierJobs: plan.tierJobs.slice(),
    tierSlots: plan.tierSlots.slice(),
  };
}

/** What preempted jobs still hold, counted once and only if a preemptor asks. */
export function heldOf(state: BatchState, plan: Plan): Held {
  if (plan.held !== undefined) return plan.held;
  const held: Held = {
    freeing: new Int32Array(plan.now.length),
    promised: new Int32Array(plan.now.length),
    freeingUntilMs: 0,
  };
  for (const running of state.running) {
    if (!running.preempting) continue;
    held.freeingUntilMs = Math.max(held.freeingUntilMs, running.endsByMs);
    for (const part of running.placement) held.freeing[part.node] = (held.freeing[part.node] ?? 0) + part.slots;
  }
  plan.held = held;
  plan.usable = plan.now.slice();
  return held;
}

/** Slots per node that are or will soon be free and are promised to nobody. */
export function futureOf(state: BatchState, plan: Plan): Int32Array {
  const held = heldOf(state, plan);
  return plan.now.map((free, n) => free + (held.freeing[n] ?? 0) - (held.promised[n] ?? 0));
}

function settleNode(state: BatchState, plan: Plan, n: number): void {
  const held = plan.held;
  if (held === undefined) return;
  const now = plan.now[n] ?? 0;
  const before = plan.usable[n] ?? 0;
  const after = Math.max(0, Math.min(now, now + (held.freeing[n] ?? 0) - (held.promised[n] ?? 0)));
  plan.usable[n] = after;
  if (state.usable[n] === 1) plan.usableTotal += after - before;
}

function countTier(plan: Plan, job: BatchJob, placement: Placement): void {
  plan.tierJobs[job.tier] = (plan.tierJobs[job.tier] ?? 0) + 1;
  plan.tierSlots[job.tier] = (plan.tierSlots[job.tier] ?? 0) + slotsOf(placement);
}

/** `job` starts now. */
export function planStart(
  state: BatchState,
  plan: Plan,
  started: { readonly job: BatchJob; readonly placement: Placement; readonly atMs: number },
): void {
  for (const part of started.placement) {
    plan.now[part.node] = (plan.now[part.node] ?? 0) - part.slots;
    if (plan.usable === plan.now) plan.usableTotal -= part.slots;
    else settleNode(state, plan, part.node);
  }
  countTier(plan, started.job, started.placement);
  plan.releases.push({ placement: started.placement, endsByMs: started.atMs + started.job.timeLimitMs });
}

export interface Promised {
  readonly job: BatchJob;
  readonly placement: Placement;
  readonly victims: readonly RunningJob[];
  readonly atMs: number;
}

/** `victims` are told to end, and `job` gets `placement` as soon as they have. */
export function planPromise(state: BatchState, plan: Plan, promised: Promised): void {
  const held = heldOf(state, plan);
  for (const victim of promised.victims) {
    const endsByMs = promised.atMs + (state.tiers[victim.job.tier]?.graceMs ?? 0);
    plan.victims.add(victim);
    plan.releases.push({ placement: victim.placement, endsByMs });
    held.freeingUntilMs = Math.max(held.freeingUntilMs, endsByMs);
    for (const part of victim.placement) {
      held.freeing[part.node] = (held.freeing[part.node] ?? 0) + part.slots;
      settleNode(state, plan, part.node);
    }
  }
  for (const part of promised.placement) {
    held.promised[part.node] = (held.promised[part.node] ?? 0) + part.slots;
    settleNode(state, plan, part.node);
  }
  countTier(plan, promised.job, promised.placement);
  const startsByMs = Math.max(promised.atMs, held.freeingUntilMs);
  plan.releases.push({ placement: promised.placement, endsByMs: startsByMs + promised.job.timeLimitMs });
}
