import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AppliedLimit, limitHeaders, namedRate } from './limit-headers.ts';

const token = namedRate('token-read', { perSecond: 1000, burst: 2000 });
const project = namedRate('project-read', { perSecond: 0.5, burst: 10 });

test('all policies are named, and the one that is nearest to its end says what it has left and when it is full', () => {
  assert.deepEqual(
    limitHeaders([
      { of: token, left: 1500 },
      { of: project, left: 4 },
    ]),
    [
      ['ratelimit-policy', '"token-read";q=2000;w=2, "project-read";q=10;w=20'],
      ['ratelimit', '"project-read";r=4;t=12'],
    ],
  );
});

test('a refusal names the limit that refused, with nothing left until Retry-After', () => {
  const headers = new Map(
    limitHeaders([
      { of: token, left: 0 },
      { of: project, left: 0, refusedForSeconds: 2 },
    ]),
  );
  assert.equal(headers.get('ratelimit'), '"project-read";r=0;t=2');
});

test('under no limit there is no header', () => assert.deepEqual(limitHeaders([]), []));

test('whatever the limit, the headers are structured fields of whole numbers within the policy', () => {
  const rate = fc.record({
    perSecond: fc.double({ min: 0.01, max: 1e6, noNaN: true }),
    burst: fc.integer({ min: 1, max: 1e7 }),
  });
  fc.assert(
    fc.property(rate, fc.integer({ min: -5, max: 2e7 }), (of, left) => {
      const applied: AppliedLimit = { of: namedRate('token-long-poll', of), left };
      const headers = new Map(limitHeaders([applied]));
      const [, q] = /^"token-long-poll";q=(\d+);w=[1-9]\d*$/.exec(headers.get('ratelimit-policy') ?? '') ?? [];
      const [, r] = /^"token-long-poll";r=(\d+);t=\d+$/.exec(headers.get('ratelimit') ?? '') ?? [];
      assert.ok(q !== undefined && r !== undefined && Number(r) <= Number(q));
    }),
  );
});
