// The comment that joins Slurm's records to ours is read back only as it was written.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { commentOf, parseComment } from './job-state.ts';
import { parseExit, parseStarted } from './read-attempts.ts';

const word = fc.stringMatching(/^[A-Za-z0-9_.-]{1,40}$/);

test('a comment of ours is read back; one of anybody else is not ours', () => {
  fc.assert(
    fc.property(word, word, word, fc.integer({ min: 1, max: 999_999 }), (instance, key, requestId, n) => {
      const comment = commentOf(instance, { key, asker: { requestId } }, n);
      assert.deepEqual(parseComment(comment), { instance, key, submission: n });
    }),
  );
  for (const other of ['', 'beamway', 'beamway:a:b', 'beamway:a:b:x:r', ' beamway:a:b:1:r', 'mine: beamway:a:b:1:r'])
    assert.equal(parseComment(other), undefined, other);
});

test('records of the wrapper that are damaged count as absent, whatever they hold', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      parseStarted(text);
      parseExit(text);
    }),
  );
  assert.deepEqual(parseStarted('2 417 n1,n2 1795426603.050733102\n'), {
    submission: 2,
    nativeId: '417',
    nodes: ['n1', 'n2'],
    startedAtMs: 1_795_426_603_050,
  });
  assert.deepEqual(parseExit('3 ended 0 1795426603.500000000\n'), {
    code: 3,
    how: 'ended',
    requeues: 0,
    atMs: 1_795_426_603_500,
  });
  for (const bad of [
    '',
    '3 ended 0',
    '3 finished 0 1795426603.5',
    '-1 ended 0 1795426603.5',
    '3 ended 0 1795426603.5 more',
  ])
    assert.equal(parseExit(bad), undefined, bad);
});
