/** Recorded questions are decided again as they were by the same set, and a candidate's differences are found, grouped and counted. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Caller, ROLES } from '../identity/index.ts';
import { ACTIONS, loadPolicySet, openPolicy, openReplay, type PolicyQuestion, readPolicySet } from './index.ts';

const FACILITY = resolve(import.meta.dirname, '../../facility');
const set = loadPolicySet(FACILITY);
const policy = openPolicy(set, { error: () => undefined });
const NOW = Date.UTC(2026, 10, 1);
const here = { project: 'demo', environment: 'ace', enclave: 'open' } as const;
const circumstances = { now: NOW, lockdown: false };
const ada: Caller = {
  kind: 'token',
  id: 'tok_secretly_named',
  subject: 'ada',
  project: 'demo',
  enclave: 'open',
  environments: ['ace'],
  scopes: ['job:read', 'job:cancel'],
  purpose: '',
  classification: 'public',
};

let sequence = 0;
function recordOf(question: PolicyQuestion, by = policy): unknown {
  sequence += 1;
  const detail = { question: by.record(question, by.decide(question)), from: '127.0.0.1' };
  return JSON.parse(
    JSON.stringify({
      sequence,
      at: new Date(NOW).toISOString(),
      requestId: `req_${sequence}`,
      phase: by.decide(question).allowed ? 'intent' : 'denied',
      callerKind: question.caller.kind,
      callerId: question.caller.id,
      subject: question.caller.subject,
      project: 'demo',
      action: 'job.cancel',
      resource: 'job/job_1',
      status: null,
      detail,
      digest: '00',
    }),
  );
}

function candidate(t: { after(action: () => void): void }, change: (base: string) => string) {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-policy-'));
  t.after(() => rmSync(dir, { recursive: true }));
  cpSync(FACILITY, dir, { recursive: true });
  const path = join(dir, 'policies', 'base.cedar');
  writeFileSync(path, change(readFileSync(path, 'utf8')));
  return readPolicySet(dir);
}

test('by the set that decided them, no recorded decision flips', () => {
  const replay = openReplay(set);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.constant(ada),
        fc
          .record({ roles: fc.subarray([...ROLES]), projects: fc.subarray(['demo']), age: fc.option(fc.nat(2000)) })
          .map(({ roles, projects, age }): Caller => {
            const factorAt = age === null ? null : NOW - age * 60_000;
            return {
              kind: 'session',
              id: 'tok_2',
              subject: 'bob',
              roles,
              projects,
              assurance: { methods: ['oidc'], factorAt },
            };
          }),
      ),
      fc.constantFrom(...ACTIONS),
      fc.constantFrom({}, here, { project: 'demo', scopes: ['job:submit'], enclave: 'moderate' } as const),
      fc.boolean(),
      (caller, action, resource, lockdown) => {
        replay.take(recordOf({ caller, action, resource, circumstances: { now: NOW, lockdown } }));
        const { flipped, unreadable } = replay.report();
        assert.deepEqual([flipped, unreadable], [0, 0]);
      },
    ),
    { numRuns: 300 },
  );
  assert.equal(replay.report().decided, 300);
});

test('what a candidate forbids and what it lets through are named by rule and caller, with counts and examples', (t) => {
  const stricter = candidate(
    t,
    (base) =>
      `${base}\n@id("no-cancelling")\n@remedy("wait")\nforbid (principal, action == Action::"job:cancel", resource);\n`,
  );
  const laxer = candidate(t, (base) =>
    base.replace('unless { principal.scopes.contains(context.scope) };', 'unless { true };'),
  );
  const cancel = { caller: ada, action: 'job:cancel', resource: here, circumstances } as const;
  const submit = { caller: ada, action: 'job:submit', resource: here, circumstances } as const;
  const records = [cancel, cancel, submit, cancel, cancel].map((q) => recordOf(q));

  const strict = openReplay(stricter);
  for (const record of records) strict.take(record);
  const [flip, another] = strict.report().flips;
  assert.equal(another, undefined);
  assert.deepEqual(
    [flip?.was, flip?.becomes, flip?.action, flip?.caller, flip?.rules, flip?.count, flip?.examples.length],
    ['allow', 'deny', 'job:cancel', 'token of ada', ['no-cancelling'], 4, 3],
  );
  const lax = openReplay(laxer);
  for (const record of records) lax.take(record);
  assert.deepEqual(
    lax.report().flips.map((f) => [f.was, f.becomes, f.action, f.rules, f.count]),
    [['deny', 'allow', 'job:submit', ['token-holds-scope'], 1]],
  );
});

test('what the candidate cannot evaluate, it denies', (t) => {
  const replay = openReplay(candidate(t, (base) => base));
  const record = JSON.stringify(recordOf({ caller: ada, action: 'job:cancel', resource: here, circumstances }));
  replay.take(JSON.parse(record.replaceAll('job:cancel', 'job:banish')));
  assert.deepEqual(
    replay.report().flips.map((f) => f.rules),
    [['policy-cannot-be-evaluated']],
  );
});

test('a recorded question holds no bearer, not even its id', () => {
  const asked = { caller: ada, action: 'job:cancel', resource: here, circumstances } as const;
  const record = policy.record(asked, policy.decide(asked));
  assert.doesNotMatch(JSON.stringify(record), /tok_/);
  assert.equal(record.policy, set.digest);
});

test('whatever stands in a file of records is counted, never thrown at', () => {
  const replay = openReplay(set);
  const asked = { caller: ada, action: 'job:cancel', resource: here, circumstances } as const;
  const question = policy.record(asked, policy.decide(asked));
  const whole = recordOf(asked) as object;
  const junk = fc.oneof(fc.jsonValue(), fc.object(), fc.constant(undefined));
  let taken = 0;
  fc.assert(
    fc.property(junk, fc.constantFrom(...Object.keys(question)), (value, field) => {
      replay.take(value);
      replay.take({ ...whole, detail: { question: value } });
      replay.take({ ...whole, detail: { question: { ...question, [field]: value } } });
      taken += 3;
      const { decided, without, unreadable } = replay.report();
      assert.equal(decided + without + unreadable, taken);
    }),
    { numRuns: 500 },
  );
});
