// The one list of Slurm's Debian packages is the one that CI installs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SLURM_PACKAGES } from './packages.ts';

test('scripts/test-packages.sh installs every package that the real Slurm needs', () => {
  const script = readFileSync(join(import.meta.dirname, '../../../scripts/test-packages.sh'), 'utf8');
  const installed = /^packages='([^']*)'$/m.exec(script)?.[1]?.split(' ') ?? [];
  assert.deepEqual(
    SLURM_PACKAGES.filter((name) => !installed.includes(name)),
    [],
  );
});
