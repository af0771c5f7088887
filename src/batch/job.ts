/**
 * What the model knows of a job: size, time limit, tier, order of submission. Pure data; times are epoch milliseconds
 * in real time and milliseconds of the trace in simulated time: the model only compares and adds them.
 */

export interface BatchJob {
  readonly id: string;
  /** Order of submission; unique, breaks every tie, so that a decision depends on nothing else. */
  readonly serial: number;
  /** Index into the state's tier table. */
  readonly tier: number;
  readonly nodes: number;
  readonly slotsPerNode: number;
  /** Takes every slot of its nodes; `slotsPerNode` is then the least a node must have. */
  readonly wholeNodes?: boolean;
  /** The longest time the job may hold its slots, the end of its processes included. */
  readonly timeLimitMs: number;
  readonly submittedAtMs: number;
  /** Not started before this time. */
  readonly notBeforeMs?: number;
}

/** So many slots of the node with that index. One entry per node. */
export interface PlacedSlots {
  readonly node: number;
  readonly slots: number;
}

export type Placement = readonly PlacedSlots[];

export interface RunningJob {
  readonly job: BatchJob;
  readonly placement: Placement;
  readonly startedAtMs: number;
  /** When its slots are free at the latest: start + time limit, or the end of its grace once preempted. */
  readonly endsByMs: number;
  /** It was told to end; its slots count as freeing and it is no victim again. */
  readonly preempting: boolean;
}

export function slotsOf(placement: Placement): number {
  let sum = 0;
  for (const part of placement) sum += part.slots;
  return sum;
}
