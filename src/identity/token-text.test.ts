import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type BearerKind, bearerDigest, bearerKind, newBearer } from './token-text.ts';

const KINDS: readonly BearerKind[] = ['token', 'session', 'node'];
const bearers = fc.constantFrom(...KINDS).map((kind) => ({ kind, text: newBearer(kind) }));

test('a new bearer says of which kind it is, and no two are alike', () => {
  const seen = new Set<string>();
  for (const kind of KINDS)
    for (let i = 0; i < 50; i++) {
      const text = newBearer(kind);
      assert.equal(bearerKind(text), kind);
      seen.add(text);
    }
  assert.equal(seen.size, 150);
});

test('a bearer cut anywhere is malformed', () => {
  fc.assert(
    fc.property(bearers, fc.nat(61), ({ text }, keep) => {
      assert.equal(bearerKind(text.slice(0, keep)), undefined);
      assert.equal(bearerKind(text.slice(text.length - keep)), undefined);
    }),
  );
});

test('a bearer with one character changed, added, or two exchanged is malformed', () => {
  const character = fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz');
  fc.assert(
    fc.property(bearers, fc.nat(61), fc.nat(61), character, ({ text }, i, j, c) => {
      const put = (at: number, what: string): string => text.slice(0, at) + what + text.slice(at + 1);
      const exchanged = [...text];
      [exchanged[i], exchanged[j]] = [text[j] ?? '', text[i] ?? ''];
      for (const changed of [put(i, c), text.slice(0, i) + c + text.slice(i), exchanged.join('')])
        if (changed !== text) assert.equal(bearerKind(changed), undefined);
    }),
    { numRuns: 500 },
  );
});

test('the parser never throws, whatever it is given', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.string(),
        bearers.map((b) => ` ${b.text}\n`),
      ),
      (text) => {
        assert.equal(bearerKind(text), undefined);
      },
    ),
    { numRuns: 500 },
  );
});

test('a digest is 32 bytes and of the whole text', () => {
  const text = newBearer('token');
  assert.equal(bearerDigest(text).length, 32);
  assert.notDeepEqual(bearerDigest(text), bearerDigest(`${text} `));
});
