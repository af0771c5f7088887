/**
 * The state of a cluster as plain data, and the only functions that change it. Counts are kept as jobs come and go, so
 * that a decision never rebuilds them: the simulator calls it hundreds of thousands of times a second.
 * Invariants: `queue` in queue order, `running` in order of ends, 0 <= free[n] <= slots[n].
 */
import { type BatchJob, type Placement, type RunningJob, slotsOf } from './job.ts';
import { compareEnds, compareQueued, lowerBound } from './queue-order.ts';
import type { Tier } from './tier.ts';

export interface BatchNode {
  readonly name: string;
  readonly slots: number;
}

export interface BatchState {
  readonly tiers: readonly Tier[];
  readonly nodes: readonly BatchNode[];
  /** Slots per node, by index. */
  readonly slots: Int32Array;
  /** Free slots per node, by index; those of an unusable node are counted but not given. */
  readonly free: Int32Array;
  /** 1 where jobs may be placed: not down, not drained. */
  readonly usable: Uint8Array;
  readonly queue: BatchJob[];
  readonly running: RunningJob[];
  /** Per tier: running jobs, their slots, queued jobs. */
  readonly tierJobs: Int32Array;
  readonly tierSlots: Int32Array;
  readonly tierQueued: Int32Array;
  /** Queued jobs that carry `notBeforeMs`. */
  timedQueued: number;
}

export function createBatch(nodes: readonly BatchNode[], tiers: readonly Tier[]): BatchState {
  return {
    tiers,
    nodes,
    slots: Int32Array.from(nodes, (node) => node.slots),
    free: Int32Array.from(nodes, (node) => node.slots),
    usable: new Uint8Array(nodes.length).fill(1),
    queue: [],
    running: [],
    tierJobs: new Int32Array(tiers.length),
    tierSlots: new Int32Array(tiers.length),
    tierQueued: new Int32Array(tiers.length),
    timedQueued: 0,
  };
}

function bump(counts: Int32Array, index: number, by: number): void {
  counts[index] = (counts[index] ?? 0) + by;
}

/** Puts a job into the queue: a new one, or one that was requeued (it keeps its place by age). */
export function enqueueJob(state: BatchState, job: BatchJob): void {
  const order = (a: BatchJob, b: BatchJob): number => compareQueued(state.tiers, a, b);
  state.queue.splice(lowerBound(state.queue, job, order), 0, job);
  bump(state.tierQueued, job.tier, 1);
  if (job.notBeforeMs !== undefined) state.timedQueued++;
}

/** Takes a job out of the queue; false when it is not there. */
export function dequeueJob(state: BatchState, job: BatchJob): boolean {
  const order = (a: BatchJob, b: BatchJob): number => compareQueued(state.tiers, a, b);
  const index = lowerBound(state.queue, job, order);
  if (state.queue[index]?.serial !== job.serial) return false;
  state.queue.splice(index, 1);
  bump(state.tierQueued, job.tier, -1);
  if (job.notBeforeMs !== undefined) state.timedQueued--;
  return true;
}

/** Moves a queued job to the running ones. Throws RangeError rather than give a slot twice. */
export function startJob(
  state: BatchState,
  job: BatchJob,
  started: { readonly placement: Placement; readonly atMs: number },
): RunningJob {
  for (const part of started.placement) {
    if ((state.free[part.node] ?? 0) < part.slots)
      throw new RangeError(`node ${part.node} has not ${part.slots} free slots for ${job.id}`);
  }
  dequeueJob(state, job);
  return holdSlots(state, {
    job,
    placement: started.placement,
    startedAtMs: started.atMs,
    endsByMs: started.atMs + job.timeLimitMs,
    preempting: false,
  });
}

/** Records a job that runs already, as when a scheduler adopts what it finds after a restart. */
export function holdSlots(state: BatchState, running: RunningJob): RunningJob {
  for (const part of running.placement) bump(state.free, part.node, -part.slots);
  bump(state.tierJobs, running.job.tier, 1);
  bump(state.tierSlots, running.job.tier, slotsOf(running.placement));
  state.running.splice(lowerBound(state.running, running, compareEnds), 0, running);
  return running;
}

/** A running job is gone and its slots are free; false when it was not running. */
export function endJob(state: BatchState, running: RunningJob): boolean {
  const index = lowerBound(state.running, running, compareEnds);
  if (state.running[index] !== running) return false;
  state.running.splice(index, 1);
  for (const part of running.placement) bump(state.free, part.node, part.slots);
  bump(state.tierJobs, running.job.tier, -1);
  bump(state.tierSlots, running.job.tier, -slotsOf(running.placement));
  return true;
}

/** A running job was told to end; its slots are free at `endsByMs` at the latest. Returns what now stands for it. */
export function markPreempting(state: BatchState, running: RunningJob, endsByMs: number): RunningJob {
  if (!endJob(state, running)) throw new RangeError(`${running.job.id} is not running`);
  return holdSlots(state, { ...running, endsByMs, preempting: true });
}
