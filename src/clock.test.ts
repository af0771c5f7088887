import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { handWoundClock, isoTime, systemClock } from './clock.ts';

test('timers of a hand-wound clock run in the order of their deadlines, at their own time, however it is wound', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100), { maxLength: 20 }), fc.array(fc.nat(60), { maxLength: 10 }), (delays, steps) => {
      const clock = handWoundClock(1000);
      const ran: number[] = [];
      for (const delay of delays)
        clock.after(delay, () => {
          assert.equal(clock.now(), 1000 + delay);
          ran.push(delay);
        });
      for (const step of [...steps, 101]) clock.advance(step);
      assert.deepEqual(
        ran,
        delays.toSorted((a, b) => a - b),
      );
      assert.equal(clock.monotonic(), clock.now() - 1000);
    }),
  );
});

test('a timer that sets another one within the same turn runs both', () => {
  const clock = handWoundClock();
  const ran: number[] = [];
  clock.after(10, () => clock.after(10, () => ran.push(clock.now())));
  clock.advance(25);
  assert.deepEqual(ran, [20]);
  assert.equal(clock.now(), 25);
});

test('a cancelled timer never runs, and may be cancelled twice', () => {
  const clock = handWoundClock();
  let ran = 0;
  const cancel = clock.after(5, () => ran++);
  cancel();
  cancel();
  clock.advance(10);
  assert.equal(ran, 0);
});

test('the real clock does not run a timer of thirty days at once', async () => {
  let early = false;
  const cancel = systemClock.after(30 * 86_400_000, () => {
    early = true;
  });
  await new Promise<void>((resolve) => void systemClock.after(5, resolve));
  cancel();
  assert.equal(early, false);
});

test('times are written in ISO 8601, UTC, with milliseconds', () => {
  assert.equal(isoTime(0), '1970-01-01T00:00:00.000Z');
});
