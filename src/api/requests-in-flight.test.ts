import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handWoundClock } from '../clock.ts';
import { requestsInFlight } from './requests-in-flight.ts';

const bounds = { sendingMs: 1000, answeringMs: 30_000 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function isDone(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await turn();
  return done;
}

test('with nothing in flight draining is over at once', async () => {
  assert.ok(await isDone(requestsInFlight(handWoundClock()).drained(bounds)));
});

test('draining waits until what is whole is answered', async () => {
  const clock = handWoundClock();
  const inFlight = requestsInFlight(clock);
  const [one, two] = [{}, {}];
  for (const request of [one, two]) {
    inFlight.begin(request);
    inFlight.received(request);
  }
  const drained = inFlight.drained(bounds);
  inFlight.end(one);
  clock.advance(29_000);
  assert.ok(!(await isDone(drained)));
  inFlight.end(two);
  assert.ok(await isDone(drained));
});

test('a request that does not come whole is given up after its grace, an answer that never comes after its bound', async () => {
  const clock = handWoundClock();
  const inFlight = requestsInFlight(clock);
  inFlight.begin({});
  const slow = {};
  inFlight.begin(slow);
  inFlight.received(slow);
  const drained = inFlight.drained(bounds);
  clock.advance(1000);
  assert.ok(!(await isDone(drained)));
  clock.advance(30_000);
  assert.ok(await isDone(drained));
});
