// What a shell reads back is what was written, whatever the user's words are; nothing of them is ever run.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { shellArguments, shellAssignments } from './shell-words.ts';

const text = fc.string({ unit: 'binary', maxLength: 60 }).filter((s) => !s.includes('\0') && s.isWellFormed());

function readBack(script: string): string {
  return execFileSync('/bin/sh', ['-c', script], { env: { PATH: '/usr/bin:/bin' } }).toString('utf8');
}

test('arguments come back as they were, metacharacters, newlines and Unicode too', () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 8 }), (words) => {
      const out = readBack(`${shellArguments(words)}[ $# -eq 0 ] || printf '%s\\0' "$@"`);
      assert.deepEqual(out === '' ? [] : out.split('\0').slice(0, -1), words);
    }),
    { numRuns: 60 },
  );
});

test('variables come back as they were', () => {
  fc.assert(
    fc.property(text, (value) => {
      const out = readBack(`${shellAssignments({ A_1: value }, 'export ')}printf '%s.' "$A_1"`);
      assert.equal(out, `${value}.`);
    }),
    { numRuns: 60 },
  );
});
