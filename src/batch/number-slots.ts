/**
 * Gives the slots of a placement their numbers (0 to slots-1 on each node): the lowest that are free. The model counts;
 * only who starts real processes needs numbers, so the simulator does not pay for them. Pure.
 */
import type { Placement } from './job.ts';

/** Numbers per entry of `placement`; `taken[n]` are the numbers in use on node `n`. Throws RangeError when too few are left. */
export function numberSlots(
  placement: Placement,
  nodes: readonly { readonly slots: number }[],
  taken: readonly ReadonlySet<number>[],
): readonly (readonly number[])[] {
  return placement.map((part) => {
    const numbers: number[] = [];
    const inUse = taken[part.node];
    const slots = nodes[part.node]?.slots ?? 0;
    for (let slot = 0; slot < slots && numbers.length < part.slots; slot++)
      if (inUse?.has(slot) !== true) numbers.push(slot);
    if (numbers.length < part.slots) throw new RangeError(`node ${part.node} has not ${part.slots} free slots`);
    return numbers;
  });
}
