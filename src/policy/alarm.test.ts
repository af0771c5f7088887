/** A policy that cannot be evaluated: denied, told to the log and, not too often, to the audit log. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import type { AuditEntry } from '../audit/index.ts';
import type { Caller } from '../identity/index.ts';
import { openPolicy, policyAlarms, readPolicySet } from './index.ts';

const FACILITY = resolve(import.meta.dirname, '../../facility');
/** Validates, and overflows where the factor is older than zero. */
const OVERFLOWS = `@id("a-rule-that-overflows")
@remedy("none")
forbid (principal is Session, action, resource)
when { principal has factorAgeMinutes && principal.factorAgeMinutes * 9223372036854775807 > 5 };
`;
const NOW = Date.UTC(2026, 10, 1);

const session = (ageMinutes: number): Caller => ({
  kind: 'session',
  id: 'tok_1',
  subject: 'ada',
  roles: ['administrator'],
  projects: [],
  assurance: { methods: ['oidc', 'totp'], factorAt: NOW - ageMinutes * 60_000 },
});

test('a forbid that errs is a denial, and its alarm is recorded once a minute with how often it happened', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-policy-'));
  t.after(() => rmSync(dir, { recursive: true }));
  cpSync(FACILITY, dir, { recursive: true });
  writeFileSync(join(dir, 'policies', 'overflow.cedar'), OVERFLOWS);

  let monotonic = 0;
  const records: AuditEntry[] = [];
  const logged: object[] = [];
  const log = { error: (fields: object) => void logged.push(fields) };
  const clock = { now: () => NOW, monotonic: () => monotonic };
  const audit = { append: async (entry: AuditEntry) => void records.push(entry) };
  const policy = openPolicy(readPolicySet(dir), log, policyAlarms({ audit, clock, log }));
  const ask = (ageMinutes: number) =>
    policy.decide({
      caller: session(ageMinutes),
      action: 'node:read',
      resource: {},
      circumstances: { now: NOW, lockdown: false },
    });

  assert.equal(ask(0).allowed, true, 'where it does not err, it decides');
  for (let i = 0; i < 5; i++) {
    const decision = ask(2);
    assert.ok(!decision.allowed);
    assert.deepEqual(
      decision.rules.map((r) => r.rule),
      ['policy-cannot-be-evaluated'],
    );
  }
  assert.equal(logged.length, 5);
  monotonic = 60_000;
  ask(3);
  assert.deepEqual(
    records.map((r) => [r.phase, r.action, r.detail['rule'], r.detail['asked'], r.detail['notToldSinceLast']]),
    [
      ['event', 'policy.alarm', 'a-rule-that-overflows', 'node:read', 0],
      ['event', 'policy.alarm', 'a-rule-that-overflows', 'node:read', 4],
    ],
  );
});

test('an alarm that cannot be recorded changes nothing about the denial', async () => {
  const logged: object[] = [];
  const log = { error: (fields: object) => void logged.push(fields) };
  const clock = { now: () => NOW, monotonic: () => 0 };
  const audit = { append: () => Promise.reject(new Error('the log is broken')) };
  const policy = openPolicy(readPolicySet(FACILITY), log, policyAlarms({ audit, clock, log }));
  const broken = { ...session(1), roles: [1] } as unknown as Caller;
  const question = { action: 'node:read', resource: {}, circumstances: { now: NOW, lockdown: false } } as const;
  assert.equal(policy.decide({ caller: broken, ...question }).allowed, false);
  await new Promise((done) => setImmediate(done));
  assert.equal(logged.length, 2);
});
