import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isId, newId, randomText } from './id.ts';

test('an id says what it names, holds 20 characters of the alphabet without I, L, O, U, and comes once', () => {
  const ids = new Set(Array.from({ length: 1000 }, () => newId('job')));
  assert.equal(ids.size, 1000);
  for (const id of ids) assert.match(id, /^job_[0-9abcdefghjkmnpqrstvwxyz]{20}$/);
});

test('an id is of its own prefix only', () => {
  const id = newId('tok');
  assert.ok(isId('tok', id));
  assert.ok(!isId('job', id));
  fc.assert(fc.property(fc.string(), (text) => !isId('job', `${text}\n`)));
});

test('random text has the length that was asked for', () => {
  fc.assert(fc.property(fc.nat(200), (n) => randomText(n).length === n));
});
