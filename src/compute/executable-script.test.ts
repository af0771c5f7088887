import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { executableScript, quoted } from './executable-script.ts';

const root = mkdtempSync(join(tmpdir(), 'beamway-executable-'));
after(() => rmSync(root, { recursive: true }));

/** What a shell might take for something else, and what it might not. */
const character = fc.oneof(
  fc.constantFrom(...`'"\\\`$&|;<>(){}[]*?!~#%^=+-@:, \t\n\r`, 'é', '中', '𝄞'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
);
const word = fc
  .array(character, { minLength: 1, maxLength: 30 })
  .map((cs) => cs.join('').replaceAll('\0', ''))
  .filter((w) => w !== '' && w.isWellFormed());

test('a quoted word is one word to a shell, and that word', () => {
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (words) => {
      const script = `for w in ${words.map(quoted).join(' ')}; do printf '%s\\0' "$w"; done`;
      const said = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' });
      assert.deepEqual(said.split('\0').slice(0, -1), words);
    }),
    { numRuns: 60 },
  );
});

test('a program of any name is started with its arguments as they are, and ends the job as itself', () => {
  const program = join(root, 'program');
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\0' "$0" "$@"\nexit 7\n`, { mode: 0o755 });
  const name = word.filter((w) => !w.includes('/') && w !== '.' && w !== '..' && Buffer.byteLength(w) < 200);
  fc.assert(
    fc.property(name, fc.array(word, { maxLength: 3 }), (called, given) => {
      const path = join(root, called);
      if (path === program) return;
      copyFileSync(program, path);
      const script = join(root, 'script.sh');
      writeFileSync(script, executableScript(path), { mode: 0o755 });
      try {
        execFileSync(script, given, { encoding: 'utf8' });
        assert.fail('it exits with 7');
      } catch (cause) {
        const { status, stdout } = cause as { readonly status: number; readonly stdout: string };
        assert.equal(status, 7);
        assert.deepEqual(stdout.split('\0').slice(0, -1), [path, ...given]);
      }
      if (path !== script) rmSync(path);
    }),
    { numRuns: 40 },
  );
});
