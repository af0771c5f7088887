import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { handWoundClock } from '../../clock.ts';
import { type Bucket, draw, fullBucket, type Rate, refill, waitMs } from './bucket.ts';
import { localBuckets } from './local-buckets.ts';

const rates: fc.Arbitrary<Rate> = fc.record({
  perSecond: fc.double({ min: 0.05, max: 5000, noNaN: true }),
  burst: fc.integer({ min: 1, max: 10_000 }),
});
/** Gaps in milliseconds and how many come at once. */
const arrivals = fc.array(fc.tuple(fc.integer({ min: 0, max: 3000 }), fc.integer({ min: 1, max: 200 })), {
  maxLength: 60,
});

test('no window of time admits more than burst and what the window brings', () => {
  fc.assert(
    fc.property(rates, arrivals, (rate, came) => {
      const admitted: { readonly atMs: number; readonly count: number }[] = [];
      let bucket: Bucket = fullBucket(rate, 0);
      let atMs = 0;
      for (const [gapMs, want] of came) {
        atMs += gapMs;
        const result = draw(bucket, rate, { want, atMs });
        bucket = result.bucket;
        admitted.push({ atMs, count: result.drawn });
      }
      for (const [from, first] of admitted.entries()) {
        let sum = 0;
        for (const { atMs: lastMs, count } of admitted.slice(from)) {
          sum += count;
          const most = rate.burst + ((lastMs - first.atMs) / 1000) * rate.perSecond;
          assert.ok(sum <= most + 1e-6, `${sum} in ${lastMs - first.atMs} ms`);
        }
      }
    }),
  );
});

test('who waits as long as told is admitted: nobody starves', () => {
  fc.assert(
    fc.property(rates, arrivals, (rate, came) => {
      let bucket: Bucket = fullBucket(rate, 0);
      let atMs = 0;
      for (const [gapMs, want] of came) {
        atMs += gapMs;
        bucket = draw(bucket, rate, { want, atMs }).bucket;
        const later = atMs + waitMs(bucket, rate, atMs);
        assert.equal(draw(bucket, rate, { want: 1, atMs: later }).drawn, 1);
      }
    }),
  );
});

test('a later time never has fewer tokens, and a time that steps back neither adds any nor takes any', () => {
  fc.assert(
    fc.property(rates, fc.nat(10_000), fc.nat(10_000), fc.nat(10_000), (rate, tokens, aMs, bMs) => {
      const bucket: Bucket = { tokens: Math.min(tokens, rate.burst), atMs: 5000 };
      const [early, late] = [Math.min(aMs, bMs), Math.max(aMs, bMs)];
      assert.ok(refill(bucket, rate, early).tokens <= refill(bucket, rate, late).tokens);
      const back = refill(bucket, rate, Math.min(early, 5000));
      assert.deepEqual(back, bucket);
    }),
  );
});

test('what is put back never fills a bucket past its burst', () => {
  const rate = { perSecond: 1, burst: 3 };
  const { bucket, drawn } = draw({ tokens: 2, atMs: 0 }, rate, { want: -5, atMs: 0 });
  assert.deepEqual([bucket.tokens, drawn], [3, -5]);
});

test('each key has its own bucket, and rested ones are forgotten before ones in use', () => {
  const clock = handWoundClock();
  const buckets = localBuckets({ perSecond: 1, burst: 2 }, clock, 2);
  assert.deepEqual([buckets.take('a'), buckets.take('a'), buckets.take('a')], [0, 0, 1000]);
  assert.equal(buckets.take('b'), 0);
  clock.advance(1000);
  assert.equal(buckets.take('c'), 0, 'b has rested and makes room');
  assert.equal(buckets.left('a'), 1, 'a is remembered');
});

test('a flood of new keys keeps to the most that are kept', () => {
  const clock = handWoundClock();
  const buckets = localBuckets({ perSecond: 1, burst: 1 }, clock, 100);
  for (let i = 0; i < 10_000; i++) assert.equal(buckets.take(`k${i}`), 0);
  assert.ok(buckets.take('k9999') > 0, 'the last ones are remembered');
});
