import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { handWoundClock } from '../../clock.ts';
import { openSlots, type Slot, type SlotCaps, type SlotClaim, type Slots } from './slots.ts';

const caps = (given: Partial<SlotCaps>): SlotCaps => ({ holder: 1000, flow: 1000, all: 1000, waitMs: 1000, ...given });

function enter(slots: Slots, claim: SlotClaim): Slot {
  const slot = slots.enter(claim);
  assert.ok(!('refusedBy' in slot), 'is not refused');
  return slot;
}

test('a token, a project and the replica have caps of their own', () => {
  const slots = openSlots(caps({ holder: 2, flow: 3, all: 4, waitMs: 0 }), handWoundClock());
  const of = (holder: string, flow: string) => slots.enter({ holder, flow });
  const first = enter(slots, { holder: 't1', flow: 'p' });
  of('t1', 'p');
  assert.deepEqual(of('t1', 'p'), { refusedBy: 'holder', cap: 2 });
  of('t2', 'p');
  assert.deepEqual(of('t3', 'p'), { refusedBy: 'flow', cap: 3 });
  of('t4', 'q');
  assert.deepEqual(of('t5', 'r'), { refusedBy: 'all', cap: 4 });
  first.leave();
  first.leave();
  assert.equal(slots.inFlight(), 3, 'given back once, however often it is said');
  assert.ok(!('refusedBy' in of('t1', 'p')));
});

test('a free slot goes to the project that holds fewest for its weight, in the order they came within one', async () => {
  const slots = openSlots(caps({ all: 3 }), handWoundClock());
  const order: string[] = [];
  const come = (holder: string, flow: string, weight = 1): Slot => {
    const slot = enter(slots, { holder, flow, weight });
    void (slot.ready ?? Promise.resolve(true)).then((held) => held && order.push(holder));
    return slot;
  };
  const runaway = [come('r1', 'run'), come('r2', 'run'), come('r3', 'run')];
  come('r4', 'run');
  come('r5', 'run');
  come('q1', 'quiet');
  come('q2', 'quiet');
  runaway[0]?.leave();
  runaway[1]?.leave();
  runaway[2]?.leave();
  await Promise.resolve();
  assert.deepEqual(order, ['r1', 'r2', 'r3', 'q1', 'r4', 'q2']);
});

test('who waits too long or goes away is refused, and takes no slot', async () => {
  const clock = handWoundClock();
  const slots = openSlots(caps({ all: 1, waitMs: 50 }), clock);
  const held = enter(slots, { holder: 'a', flow: 'p' });
  const [late, gone] = [enter(slots, { holder: 'b', flow: 'p' }), enter(slots, { holder: 'c', flow: 'p' })];
  gone.leave();
  clock.advance(50);
  assert.deepEqual(await Promise.all([late.ready, gone.ready]), [false, false]);
  assert.equal(slots.waiting(), 0);
  held.leave();
  late.leave();
  assert.equal(slots.inFlight(), 0);
});

test('whatever happens in whatever order, slots are never more than the cap, never idle while somebody waits, and all come back', () => {
  const action = fc.record({
    kind: fc.constantFrom('enter', 'leave', 'wait'),
    who: fc.nat(5),
    which: fc.nat(30),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), fc.integer({ min: 1, max: 6 }), (actions, all) => {
      const clock = handWoundClock();
      const slots = openSlots(caps({ all, holder: 4, flow: 8, waitMs: 100 }), clock);
      const entered: Slot[] = [];
      for (const { kind, who, which } of actions) {
        if (kind === 'wait') clock.advance(which * 10);
        else if (kind === 'leave') entered[which % Math.max(1, entered.length)]?.leave();
        else {
          const slot = slots.enter({ holder: `t${who}`, flow: `p${who % 3}`, weight: 1 + (who % 3) });
          if (!('refusedBy' in slot)) entered.push(slot);
        }
        assert.ok(slots.inFlight() <= all);
        assert.ok(slots.waiting() === 0 || slots.inFlight() === all);
      }
      for (const slot of entered) slot.leave();
      assert.deepEqual([slots.inFlight(), slots.waiting()], [0, 0]);
    }),
  );
});

test('projects that always have more to do get slots in proportion to their weights', () => {
  const slots = openSlots(caps({ all: 12 }), handWoundClock());
  const weights = { a: 1, b: 2, c: 3 };
  const held: Slot[] = [];
  for (let i = 0; i < 600; i++)
    for (const [flow, weight] of Object.entries(weights))
      held.push(enter(slots, { holder: `${flow}${i}`, flow, weight }));
  // Each slot serves one request and is free again; nobody's line ends.
  for (const slot of held.slice(0, 600)) slot.leave();
  assert.deepEqual([slots.inFlight('a'), slots.inFlight('b'), slots.inFlight('c')], [2, 4, 6]);
});
