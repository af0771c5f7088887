/** audit.yaml: what it leaves out has a default, what is wrong is told by line. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { YamlError } from '../facility/index.ts';
import { readAuditRules } from './index.ts';

const DEFAULTS = { keepDays: 365, partitionDays: 30, checkpointRecords: 10_000, checkpointMinutes: 15 };

function facilityWith(t: TestContext, text?: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'beamway-audit-rules-'));
  t.after(() => rmSync(folder, { recursive: true }));
  if (text !== undefined) writeFileSync(join(folder, 'audit.yaml'), text);
  return folder;
}

test('without a file, or with a field alone, the rest is as documented', (t) => {
  assert.deepEqual(readAuditRules(facilityWith(t)), DEFAULTS);
  assert.deepEqual(readAuditRules(facilityWith(t, 'keepDays: 3650\n')), { ...DEFAULTS, keepDays: 3650 });
  assert.deepEqual(readAuditRules(join(import.meta.dirname, '../../facility')), DEFAULTS);
});

test('a wrong or unknown field is told by line', (t) => {
  assert.throws(
    () => readAuditRules(facilityWith(t, 'keepDays: 0\nforever: true\n')),
    (thrown: unknown) => {
      assert.ok(thrown instanceof YamlError);
      assert.deepEqual(
        thrown.faults.map((f) => f.line),
        [1, 2],
      );
      return true;
    },
  );
});
