// What passes in any time is at most the burst and the rate's share of that time, whatever the reads, as long as whoever reads waits as told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { streamRate } from './rate.ts';

const RATE = 1_000_000;

test('no more passes than burst and rate allow, whatever the reads of however many clients', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ octets: fc.integer({ min: 1, max: 1_048_576 }), pauseMs: fc.nat(50) }), {
        minLength: 1,
        maxLength: 60,
      }),
      fc.integer({ min: 1, max: 4 }),
      (reads, clients) => {
        let now = 0;
        const rate = streamRate({ monotonic: () => now }, () => RATE);
        const freeAt = Array.from({ length: clients }, () => 0);
        let passed = 0;
        for (const [i, { octets, pauseMs }] of reads.entries()) {
          const client = i % clients;
          now = Math.max(now + pauseMs, freeAt[client] ?? 0);
          passed += octets;
          freeAt[client] = now + rate.spend(octets);
          // Each client may have one read beyond what is due, and waits for it then.
          assert.ok(passed <= RATE * 0.25 + (now * RATE) / 1000 + clients * 1_048_576 + 1, `${passed} by ${now} ms`);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('a bound that is lifted holds nobody, and one that comes begins with its burst', () => {
  let bound = 0;
  let now = 0;
  const rate = streamRate({ monotonic: () => now }, () => bound);
  assert.equal(rate.spend(1e9), 0);
  bound = RATE;
  assert.equal(rate.spend(250_000), 0);
  assert.equal(rate.spend(1000), 1);
  bound = 0;
  assert.equal(rate.spend(1e9), 0);
  bound = RATE;
  now += 10;
  assert.equal(rate.spend(250_000), 0);
});
