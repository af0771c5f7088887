/**
 * Preemption: which running jobs must end so that a job fits. Victims come only from tiers that its tier may preempt,
 * lowest tier first, youngest first within it (Slurm: preempt_youngest_first), and the set is irreducible: with any one
 * of them spared, the job would not fit. Slots of jobs already in grace count as free, so nobody is preempted twice.
 */
import type { BatchJob, Placement, RunningJob } from './job.ts';
import { countFitting, needOn, place } from './place.ts';
import { futureOf, type Plan } from './plan.ts';
import type { BatchState } from './state.ts';
import type { Tier } from './tier.ts';

export interface Preemption {
  readonly placement: Placement;
  /** Empty when waiting for jobs already in grace is enough. */
  readonly victims: readonly RunningJob[];
}

/** Negative when `a` is the better victim. */
export function compareVictims(tiers: readonly Tier[], a: RunningJob, b: RunningJob): number {
  const byTier = (tiers[a.job.tier]?.priority ?? 0) - (tiers[b.job.tier]?.priority ?? 0);
  return byTier || b.startedAtMs - a.startedAtMs || b.job.serial - a.job.serial;
}

/** Undefined when even preempting every eligible job would not make room: then nobody is preempted. */
export function chooseVictims(state: BatchState, plan: Plan, job: BatchJob): Preemption | undefined {
  const tier = state.tiers[job.tier];
  if (tier === undefined || !tier.preemptsAny) return undefined;
  const future = futureOf(state, plan);
  let fitting = countFitting(state, job, future);
  const change = (victim: RunningJob, sign: 1 | -1): void => {
    for (const part of victim.placement) {
      const need = needOn(state, job, part.node);
      const before = future[part.node] ?? 0;
      const after = before + sign * part.slots;
      future[part.node] = after;
      fitting += Number(after >= need) - Number(before >= need);
    }
  };

  const chosen: RunningJob[] = [];
  if (fitting < job.nodes) {
    const eligible = state.running.filter(
      (r) => !r.preempting && tier.mayPreempt[r.job.tier] === 1 && !plan.victims.has(r),
    );
    eligible.sort((a, b) => compareVictims(state.tiers, a, b));
    for (const victim of eligible) {
      change(victim, 1);
      chosen.push(victim);
      if (fitting >= job.nodes) break;
    }
    if (fitting < job.nodes) return undefined;
  }

  // Spare whom we can, the dearest first; the last one chosen made the job fit and stays.
  const victims: RunningJob[] = chosen.slice(-1);
  for (const victim of chosen.slice(0, -1).reverse()) {
    change(victim, -1);
    if (fitting >= job.nodes) continue;
    change(victim, 1);
    victims.push(victim);
  }
  const placement = place(state, job, { free: future });
  return placement && { placement, victims: victims.reverse() };
}
