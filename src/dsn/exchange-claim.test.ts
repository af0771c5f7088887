import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ClaimFacts, exchangeClaim } from './exchange-claim.ts';
import { digestOf, testClaim, testLease } from './lease.fixture.ts';
import type { Claimed } from './lease-file.ts';

const lease = testLease({ claims: [testClaim('clm_a', 'one'), testClaim('clm_b', 'two')] });
const facts = (change: Partial<ClaimFacts> = {}): ClaimFacts => ({
  leases: [testLease({ stream: 'str_other' }), lease],
  claimed: [],
  used: () => false,
  nowMs: 1000,
  ...change,
});
const ask = { claim: 'one', job: 'job_a', attempt: 1 };

test('a claim is exchanged for a credential of its stream and role, of which only the digest is kept', () => {
  const got = exchangeClaim(facts(), ask);
  assert.ok(got.kind === 'granted');
  assert.equal(got.lease.stream, 'str_a');
  assert.equal(got.claimed.credential.role, 'consumer');
  assert.equal(got.claimed.credential.passwordDigest, digestOf(got.password));
  assert.ok(got.password.length >= 32);
  assert.ok(!JSON.stringify(got.claimed).includes(got.password));
});

test('a wrong secret is unknown, another job and a claim whose time is over are refused', () => {
  assert.deepEqual(exchangeClaim(facts(), { ...ask, claim: 'three' }), { kind: 'unknown' });
  assert.deepEqual(exchangeClaim(facts({ leases: [] }), ask), { kind: 'unknown' });
  assert.deepEqual(exchangeClaim(facts(), { ...ask, job: 'job_b' }), {
    kind: 'refused',
    reason: 'the claim is another job’s',
  });
  assert.deepEqual(exchangeClaim(facts({ nowMs: 1_000_000 }), ask), {
    kind: 'refused',
    reason: 'the claim has expired',
  });
});

test('an answer that was lost may be asked for again until it was used', () => {
  const first = exchangeClaim(facts(), ask);
  assert.ok(first.kind === 'granted');
  const claimed = [first.claimed];
  const again = exchangeClaim(facts({ claimed }), ask);
  assert.ok(again.kind === 'granted');
  assert.notEqual(again.password, first.password);
  assert.equal(again.claimed.credential.id, first.claimed.credential.id);
  assert.deepEqual(exchangeClaim(facts({ claimed, used: (id) => id === first.claimed.credential.id }), ask), {
    kind: 'refused',
    reason: 'it was claimed and used',
  });
});

const steps = fc.array(
  fc.record({
    claim: fc.constantFrom('one', 'two', 'wrong'),
    job: fc.constantFrom('job_a', 'job_a', 'job_b'),
    attempt: fc.integer({ min: 1, max: 6 }),
    connects: fc.boolean(),
  }),
  { maxLength: 30 },
);

test('whatever is asked in whatever order: attempts only go up, and a later attempt voids the earlier ones', () => {
  fc.assert(
    fc.property(steps, (asked) => {
      let claimed: readonly Claimed[] = [];
      const used = new Set<string>();
      const highest = new Map<string, number>();
      for (const { connects, ...request } of asked) {
        const got = exchangeClaim(facts({ claimed, used: (id) => used.has(id) }), request);
        const reached = highest.get(request.claim) ?? 0;
        if (request.claim === 'wrong') assert.equal(got.kind, 'unknown');
        else if (request.job !== 'job_a' || request.attempt < reached) assert.equal(got.kind, 'refused');
        else if (request.attempt > reached) assert.equal(got.kind, 'granted');
        if (got.kind !== 'granted') continue;
        highest.set(request.claim, request.attempt);
        claimed = [...claimed.filter((c) => c.claim !== got.claimed.claim), got.claimed];
        if (connects) used.add(got.claimed.credential.id);
        // One valid credential a claim: that of the highest attempt.
        assert.equal(claimed.filter((c) => c.claim === got.claimed.claim).length, 1);
        assert.equal(claimed.find((c) => c.claim === got.claimed.claim)?.attempt, request.attempt);
      }
    }),
  );
});
