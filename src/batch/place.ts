/**
 * Placement: which nodes a job gets. Best fit: the nodes with the fewest free slots that still hold it, then the lowest
 * index, so that wide gaps stay for wide jobs and the answer is always the same. Pure.
 */
import type { BatchJob, Placement } from './job.ts';
import type { BatchState } from './state.ts';

/** Slots that `job` takes of node `n`; Infinity where it can never be placed. */
export function needOn(state: BatchState, job: BatchJob, n: number): number {
  if (state.usable[n] !== 1) return Number.POSITIVE_INFINITY;
  if (job.wholeNodes !== true) return job.slotsPerNode;
  const slots = state.slots[n] ?? 0;
  return slots >= job.slotsPerNode ? slots : Number.POSITIVE_INFINITY;
}

/** Nodes that hold `job` when `free` is free. */
export function countFitting(state: BatchState, job: BatchJob, free: Int32Array): number {
  let count = 0;
  for (let n = 0; n < free.length; n++) if ((free[n] ?? 0) >= needOn(state, job, n)) count++;
  return count;
}

/** Whether an empty cluster of the usable nodes could hold the job. */
export function canEverFit(state: BatchState, job: BatchJob): boolean {
  return countFitting(state, job, state.slots) >= job.nodes;
}

/** Places `job` into `free`, and within `bound` too where one is given (both per node); undefined when it does not fit. */
export function place(
  state: BatchState,
  job: BatchJob,
  room: { readonly free: Int32Array; readonly bound?: Int32Array },
): Placement | undefined {
  const { free, bound } = room;
  const fitting: number[] = [];
  for (let n = 0; n < free.length; n++) {
    const need = needOn(state, job, n);
    if ((free[n] ?? 0) >= need && (bound === undefined || (bound[n] ?? 0) >= need)) fitting.push(n);
  }
  if (fitting.length < job.nodes) return undefined;
  if (fitting.length > job.nodes) fitting.sort((a, b) => (free[a] ?? 0) - (free[b] ?? 0) || a - b);
  fitting.length = job.nodes;
  return fitting.map((node) => ({ node, slots: needOn(state, job, node) }));
}
