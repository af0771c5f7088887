import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { handWoundClock } from '../../clock.ts';
import { type BucketSource, memorySource } from './bucket-source.ts';
import { openLeases } from './lease-permits.ts';
import { replicasOn, total } from './replicas.fixture.ts';

const log = { warn: () => undefined };
const inMemory = (clock: { now(): number }): BucketSource => memorySource(() => clock.now());
const limit = (perSecond: number, burst: number) => ({ key: 'k', rate: { perSecond, burst } });

test('however replicas are asked, together they never admit more than one bucket would, nor a tenth less than they could', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 200 }),
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 3, maxLength: 3 }),
      async (perSecond, count, loads) => {
        const replicas = replicasOn(inMemory, count);
        const load = loads.slice(0, count);
        const admitted = total(await replicas.run({ ms: 10_000, perSecond: load, limit: limit(perSecond, perSecond) }));
        assert.ok(admitted <= perSecond * 11 + 1e-6, `${admitted} of ${perSecond}/s`);
        const could = Math.min(total(load) * 10, perSecond * 11);
        assert.ok(admitted >= could * 0.9 - 3 * count, `${admitted} of ${could}`);
      },
    ),
    { numRuns: 25 },
  );
});

test('no window after the burst exceeds the rate by more than the batches in hand', async () => {
  const replicas = replicasOn(inMemory, 3);
  const load = { perSecond: [400, 400, 400], limit: limit(200, 200) };
  await replicas.run({ ...load, ms: 3000 });
  for (let window = 0; window < 5; window++) {
    const admitted = total(await replicas.run({ ...load, ms: 2000 }));
    assert.ok(Math.abs(admitted - 400) <= 3 * 20, `${admitted} in 2 s at 200/s`);
  }
});

test('with a lease in hand nothing is asked, and many requests of one moment are one round trip', async () => {
  const clock = handWoundClock();
  const memory = inMemory(clock);
  let trips = 0;
  const source: BucketSource = {
    exchange(asks) {
      trips += 1;
      return memory.exchange(asks);
    },
  };
  const leases = openLeases({ source, clock, log, shareWhenAway: 0.25 });
  const a = limit(1000, 1000);
  const verdicts = await Promise.all(Array.from({ length: 100 }, () => leases.take([a, { ...a, key: 'other' }])));
  assert.ok(verdicts.every((v) => v.kind === 'admitted'));
  assert.ok(trips <= 2, `${trips} round trips for 100 requests under two limits`);
  clock.advance(200);
  await leases.take([a]);
  await new Promise((resolve) => setImmediate(resolve));
  const before = trips;
  assert.ok(!(leases.take([a]) instanceof Promise), 'at once');
  assert.equal(trips, before);
});

test('a request under several limits takes from all or from none, and is told which one refuses', async () => {
  const clock = handWoundClock();
  const leases = openLeases({ source: inMemory(clock), clock, log, shareWhenAway: 0.25 });
  const [wide, tight] = [
    { key: 'wide', rate: { perSecond: 10, burst: 10 } },
    { key: 'tight', rate: { perSecond: 0.5, burst: 1 } },
  ];
  assert.equal((await leases.take([wide, tight])).kind, 'admitted');
  const refused = await leases.take([wide, tight]);
  assert.ok(refused.kind === 'refused');
  assert.equal(refused.by, 1);
  assert.ok(refused.waitMs > 1000 && refused.waitMs <= 2000, `${refused.waitMs}`);
  for (let i = 0; i < 9; i++) assert.equal((await leases.take([wide])).kind, 'admitted', 'nothing was taken from it');
  assert.equal((await leases.take([wide])).kind, 'refused');
  clock.advance(refused.waitMs);
  assert.equal((await leases.take([tight])).kind, 'admitted');
});

test('idle permits go back, so that another replica may have them', async () => {
  const replicas = replicasOn(inMemory, 2);
  const [a, b] = replicas.leases;
  assert.ok(a !== undefined && b !== undefined);
  const ten = limit(0.001, 1);
  assert.equal((await a.take([limit(100, 100)])).kind, 'admitted');
  await replicas.run({ ms: 2500, perSecond: [0, 0], limit: ten });
  assert.equal(a.held('k'), 0);
});

test('a replica that stops gives back what it holds; one that dies loses at most a tenth of a second', async () => {
  const replicas = replicasOn(inMemory, 2);
  const [a, b] = replicas.leases;
  assert.ok(a !== undefined && b !== undefined);
  const of = limit(100, 100);
  await replicas.run({ ms: 1000, perSecond: [50, 0], limit: of });
  assert.ok(a.held('k') > 0 && a.held('k') <= 10, `${a.held('k')} in hand`);
  await a.close();
  assert.equal(a.held('k'), 0);
  let left = 0;
  while ((await b.take([of])).kind === 'admitted') left += 1;
  assert.equal(left, 100, 'the bucket is whole');
});

test('while the shared buckets cannot be reached each replica admits the stated share, and all of the rate again once they can', async () => {
  let reachable = true;
  const replicas = replicasOn((clock) => {
    const memory = inMemory(clock);
    return { exchange: (asks) => (reachable ? memory.exchange(asks) : Promise.reject(new Error('no database'))) };
  }, 2);
  const load = { perSecond: [500, 500], limit: limit(100, 100) };
  await replicas.run({ ...load, ms: 5000 });
  reachable = false;
  const away = await replicas.run({ ...load, ms: 10_000 });
  for (const admitted of away) {
    // A quarter of the rate, a quarter of the burst, and the batch in hand.
    assert.ok(admitted >= 250 && admitted <= 250 + 25 + 10, `${admitted}`);
  }
  reachable = true;
  await replicas.run({ ...load, ms: 2000 });
  const again = total(await replicas.run({ ...load, ms: 5000 }));
  assert.ok(Math.abs(again - 500) <= 50, `${again}`);
});

test('shared buckets that never answer hold up nobody for long: local shares serve', async () => {
  const clock = handWoundClock();
  const hanging: BucketSource = { exchange: () => new Promise(() => undefined) };
  const leases = openLeases({ source: hanging, clock, log, shareWhenAway: 0.5 });
  const first = leases.take([limit(2, 4)]);
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(250);
  assert.equal((await first).kind, 'admitted');
  assert.equal((await leases.take([limit(2, 4)])).kind, 'admitted');
  assert.equal((await leases.take([limit(2, 4)])).kind, 'refused', 'half of a burst of four is spent');
  clock.advance(60_000);
  assert.equal((await leases.take([limit(2, 4)])).kind, 'admitted', 'still');
  await leases.close();
});
