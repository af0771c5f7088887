import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../../problems.ts';
import { readPlace } from './output-events.ts';

const invalid = (thrown: unknown): boolean => thrown instanceof Problem && thrown.code === 'invalid-request';

test('an id of ours is the place to go on from; without one, what was asked for is', () => {
  assert.deepEqual(readPlace('2.4096', { offset: 0 }), { attempt: 2, offset: 4096 });
  assert.deepEqual(readPlace('2.4096', { attempt: 1, offset: 7 }), { attempt: 2, offset: 4096 });
  assert.deepEqual(readPlace('', { attempt: 1, offset: 7 }), { attempt: 1, offset: 7 });
  assert.equal(readPlace(undefined, { offset: 0 }), undefined);
  assert.throws(() => readPlace(undefined, { offset: 7 }), invalid);
});

test('any other id is refused, whatever it is', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{1,20}$/)), (id) => {
      try {
        const place = readPlace(id, { offset: 0 });
        if (place !== undefined) assert.ok(place.attempt >= 1 && Number.isSafeInteger(place.offset));
      } catch (thrown) {
        assert.ok(invalid(thrown));
      }
    }),
  );
});
