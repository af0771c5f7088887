import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CACHE_SECONDS,
  isDue,
  KEPT_MS,
  keyState,
  LONGEST_HOP_SECONDS,
  PUBLISHED_MS,
  removable,
  SIGNS_MS,
  type SigningKey,
  signerAt,
  verifiesUntil,
} from './signing-key.ts';

const key = (kid: string, signsFromMs: number): SigningKey => ({
  kid,
  publicJwk: { kty: 'OKP', crv: 'Ed25519', x: kid, kid, alg: 'Ed25519', use: 'sig' },
  createdAt: new Date(signsFromMs - PUBLISHED_MS),
  signsFrom: new Date(signsFromMs),
});

test('a key is published, signs, verifies and goes, in that order', () => {
  const keys = [key('a', 0), key('b', SIGNS_MS)];
  const states = (at: number): readonly string[] => keys.map((k) => keyState(keys, k, at));
  assert.deepEqual(states(SIGNS_MS - 1), ['signing', 'published']);
  assert.deepEqual(states(SIGNS_MS), ['verifying', 'signing']);
  assert.deepEqual(removable(keys, SIGNS_MS + KEPT_MS - 1), []);
  assert.deepEqual(removable(keys, SIGNS_MS + KEPT_MS), ['a']);
  assert.deepEqual(
    keys.map((k) => verifiesUntil(keys, k)?.getTime() ?? null),
    [SIGNS_MS + KEPT_MS, null],
  );
});

test('the next key is due when the last one has signed for its time, not before', () => {
  assert.ok(isDue([], 0));
  assert.ok(!isDue([key('a', 0)], SIGNS_MS - 1));
  assert.ok(isDue([key('a', 0)], SIGNS_MS));
  assert.ok(!isDue([key('a', 0), key('b', SIGNS_MS + PUBLISHED_MS)], SIGNS_MS));
});

test('whatever the keys, what signs now is in the key set for as long as its last token lives and was there a cache time before', () => {
  const times = fc.uniqueArray(fc.integer({ min: 0, max: 100_000_000 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(times, fc.integer({ min: 0, max: 200_000_000 }), (starts, now) => {
      const keys = starts.map((at, i) => key(`k${i}`, at));
      const signer = signerAt(keys, now);
      if (signer === undefined) return;
      const lastTokenEnds = now + LONGEST_HOP_SECONDS * 1000;
      assert.ok(!removable(keys, now).includes(signer.kid));
      const until = verifiesUntil(keys, signer)?.getTime();
      assert.ok(until === undefined || until > lastTokenEnds, 'its tokens outlive it');
      assert.ok(signer.signsFrom.getTime() - signer.createdAt.getTime() >= CACHE_SECONDS * 1000);
    }),
  );
});
