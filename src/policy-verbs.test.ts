/** What `policy replay` makes of files: the records of an export, one a line, and whatever else stands there. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadPolicySet, openPolicy } from './policy/index.ts';
import { policyReplay, recordsIn } from './policy-verbs.ts';

const FACILITY = resolve(import.meta.dirname, '../facility');

function fileWith(t: TestContext, lines: readonly string[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-replay-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'audit.jsonl');
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
  return path;
}

function exported(question?: object): string {
  return JSON.stringify({
    sequence: 7,
    at: '2026-11-01T00:00:00.000Z',
    requestId: 'req_1',
    phase: 'intent',
    callerKind: 'token',
    callerId: 'tok_1',
    subject: 'ada',
    project: 'demo',
    action: 'job.submit',
    resource: '',
    status: null,
    detail: question === undefined ? {} : { question },
    digest: '00',
  });
}

function decided(): object {
  const policy = openPolicy(loadPolicySet(FACILITY), { error: () => undefined });
  const asked = {
    caller: { kind: 'node', id: 'tok_3', subject: 'dsn01' },
    action: 'job:submit',
    resource: {},
    circumstances: { now: 0, lockdown: false },
  } as const;
  return policy.record(asked, policy.decide(asked));
}

test('an export is decided line by line, and says what it cannot speak of', async (t) => {
  const report = await policyReplay(FACILITY, recordsIn(fileWith(t, [exported(decided()), exported(), ''])));
  assert.ok(report.ok, report.text);
  assert.match(
    report.text,
    /0 of 1 recorded decisions.*\n1 other records hold no decision\nreads that were allowed are not/,
  );
});

test('a flip names the rule, the caller and the record, and is no success', async (t) => {
  const report = await policyReplay(FACILITY, recordsIn(fileWith(t, [exported({ ...decided(), allowed: true })])));
  assert.equal(report.ok, false);
  assert.match(
    report.text,
    /^allow -> deny {2}job:submit {2}token of ada {2}1x {2}by node-acts-for-itself-only\n {4}record 7, /,
  );
});

test('a line that cannot be read might hold a flip, so it is no success either', async (t) => {
  for (const line of ['no json', '{}', exported({ allowed: true })]) {
    const report = await policyReplay(FACILITY, recordsIn(fileWith(t, [exported(decided()), line])));
    assert.equal(report.ok, false);
    assert.match(report.text, /1 could not be read/);
  }
});

test('a file that is not there is said', async () => {
  await assert.rejects(policyReplay(FACILITY, recordsIn('/nonexistent/audit.jsonl')), /ENOENT/);
});
