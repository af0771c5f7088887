/** The door of the room `batch`: the pure model of a batch scheduler. */
export { compareVictims } from './choose-victims.ts';
export { type DecideOptions, type Decision, decide } from './decide.ts';
export { type BatchJob, type PlacedSlots, type Placement, type RunningJob, slotsOf } from './job.ts';
export { numberSlots } from './number-slots.ts';
export { canEverFit } from './place.ts';
export { compareQueued } from './queue-order.ts';
export {
  type BatchNode,
  type BatchState,
  createBatch,
  dequeueJob,
  endJob,
  enqueueJob,
  holdSlots,
  markPreempting,
  startJob,
} from './state.ts';
export { type Tier, type TierLimits, type TierSpec, tierTable } from './tier.ts';
export { whyWaiting } from './why-waiting.ts';
