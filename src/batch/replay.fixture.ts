/**
 * Test fixture: replays jobs with known run times through the model in simulated time, checking after every step what
 * must always hold. Preempted jobs use their whole grace and are requeued or cancelled as their tier says.
 */
import assert from 'node:assert/strict';
import { type Decision, decide } from './decide.ts';
import type { BatchJob, RunningJob } from './job.ts';
import { type BatchNode, type BatchState, createBatch, endJob, enqueueJob, markPreempting, startJob } from './state.ts';
import { type TierSpec, tierTable } from './tier.ts';

export interface Workload {
  readonly nodes: readonly BatchNode[];
  readonly tiers: readonly TierSpec[];
  /** Ascending `submittedAtMs`; each job with how long it really runs. */
  readonly jobs: readonly { readonly job: BatchJob; readonly runMs: number }[];
}

export interface Seen {
  readonly state: BatchState;
  readonly decision: Decision;
  readonly nowMs: number;
}

export interface Replayed {
  readonly firstStartMs: ReadonlyMap<number, number>;
  /** By serial: how each job ended. */
  readonly ended: ReadonlyMap<number, 'completed' | 'cancelled'>;
  readonly preemptions: number;
}

/** Runs until nothing is left; `look` sees each decision before it is applied. */
export function replay(workload: Workload, look: (seen: Seen) => void = () => {}): Replayed {
  const state = createBatch(workload.nodes, tierTable(workload.tiers));
  const runMs = new Map(workload.jobs.map(({ job, runMs: ms }) => [job.serial, ms]));
  const firstStartMs = new Map<number, number>();
  const ended = new Map<number, 'completed' | 'cancelled'>();
  let preemptions = 0;
  let next = 0;
  let wakeMs = Number.POSITIVE_INFINITY;

  const endOf = (r: RunningJob): number =>
    r.preempting ? r.endsByMs : Math.min(r.endsByMs, r.startedAtMs + (runMs.get(r.job.serial) ?? 0));
  const finish = (running: RunningJob): void => {
    assert.ok(endJob(state, running));
    if (running.preempting && state.tiers[running.job.tier]?.preemptMode === 'requeue') {
      enqueueJob(state, running.job);
      return;
    }
    assert.ok(!ended.has(running.job.serial), 'a job ends once');
    ended.set(running.job.serial, running.preempting ? 'cancelled' : 'completed');
  };

  for (;;) {
    let nowMs = Math.min(workload.jobs[next]?.job.submittedAtMs ?? Number.POSITIVE_INFINITY, wakeMs);
    for (const running of state.running) nowMs = Math.min(nowMs, endOf(running));
    if (nowMs === Number.POSITIVE_INFINITY) break;
    for (const running of [...state.running]) if (endOf(running) <= nowMs) finish(running);
    for (
      let job = workload.jobs[next]?.job;
      job !== undefined && job.submittedAtMs <= nowMs;
      job = workload.jobs[++next]?.job
    )
      enqueueJob(state, job);
    const decision = decide(state, nowMs);
    look({ state, decision, nowMs });
    wakeMs = decision.nextWakeMs ?? Number.POSITIVE_INFINITY;
    for (const { job, placement } of decision.start) {
      startJob(state, job, { placement, atMs: nowMs });
      if (!firstStartMs.has(job.serial)) firstStartMs.set(job.serial, nowMs);
    }
    for (const { victim } of decision.preempt) {
      preemptions++;
      const endsMs = nowMs + (state.tiers[victim.job.tier]?.graceMs ?? 0);
      // A run shorter than the grace ends by itself: let it, so that both ways of leaving are replayed.
      markPreempting(state, victim, Math.max(nowMs + 1, endsMs));
    }
    checkCounts(state);
  }
  return { firstStartMs, ended, preemptions };
}

/** Free slots are exactly those that no running job holds, on every node, and never fewer than none. */
function checkCounts(state: BatchState): void {
  const held = new Int32Array(state.nodes.length);
  for (const running of state.running)
    for (const part of running.placement) held[part.node] = (held[part.node] ?? 0) + part.slots;
  for (let n = 0; n < state.nodes.length; n++) {
    const free = state.free[n] ?? -1;
    assert.ok(free >= 0, `node ${n} gave more than it has`);
    assert.equal(free + (held[n] ?? 0), state.slots[n]);
  }
}
