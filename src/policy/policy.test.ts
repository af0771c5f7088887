/** The example facility's policies decide as they say; every fault of a set is refused; nothing a token could ask for reaches past its bounds. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadFacility } from '../facility/index.ts';
import { ALL_SCOPES, ANONYMOUS, type Caller } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import {
  ACTIONS,
  loadPolicySet,
  matrixDiff,
  openPolicy,
  type PolicyQuestion,
  PolicySetError,
  policyMatrix,
  readPolicySet,
  testPolicies,
} from './index.ts';

const FACILITY = resolve(import.meta.dirname, '../../facility');
const set = loadPolicySet(FACILITY);
const circumstances = { now: Date.UTC(2026, 10, 1), lockdown: false };
const quiet = { error: () => undefined };

function facilityWith(t: { after(action: () => void): void }, file: string, change: (text: string) => string): string {
  const dir = mkdtempSync(join(tmpdir(), 'beamway-policy-'));
  t.after(() => rmSync(dir, { recursive: true }));
  cpSync(FACILITY, dir, { recursive: true });
  const path = join(dir, 'policies', file);
  writeFileSync(path, change(readFileSync(path, 'utf8')));
  return dir;
}

const token = (over: Partial<Extract<Caller, { kind: 'token' }>> = {}): Caller => ({
  kind: 'token',
  id: 'tok_1',
  subject: 's',
  project: 'demo',
  enclave: 'open',
  environments: ['ace'],
  scopes: ALL_SCOPES,
  purpose: '',
  classification: 'public',
  ...over,
});

test('every rule of the example facility is seen to decide by its own tests', () => {
  const report = testPolicies(FACILITY, set);
  assert.deepEqual(report.failures, []);
  assert.deepEqual(report.untested, []);
  assert.ok(report.passed >= 10);
});

test('a policy that names an attribute which is not in the schema is refused, with its file and id', (t) => {
  const dir = facilityWith(t, 'base.cedar', (text) =>
    text.replace('principal.scopes.contains', 'principal.scope.contains'),
  );
  assert.throws(
    () => readPolicySet(dir),
    (e: unknown) => e instanceof PolicySetError && /base\.cedar: token-holds-scope: /.test(e.message),
  );
});

test('a policy that does not parse is refused by line', (t) => {
  const dir = facilityWith(t, 'base.cedar', (text) =>
    text.replace('forbid (principal is Anonymous', 'forbit (principal is Anonymous'),
  );
  assert.throws(
    () => readPolicySet(dir),
    (e: unknown) => e instanceof PolicySetError && /base\.cedar:\d+: /.test(e.message),
  );
});

test('an overlay cannot permit', (t) => {
  const dir = facilityWith(
    t,
    'environments/frontier.cedar',
    (text) => `${text}\n@id("a-back-door")\npermit (principal, action, resource);\n`,
  );
  assert.throws(() => readPolicySet(dir), /an overlay may only forbid/);
});

test('a set that fails its own tests is refused', (t) => {
  const dir = facilityWith(t, 'tests/tokens.yaml', (text) => text.replace('expect: allow', 'expect: deny'));
  assert.doesNotThrow(() => readPolicySet(dir));
  assert.throws(() => loadPolicySet(dir), PolicySetError);
});

test('every change of a file changes the digest', (t) => {
  const dir = facilityWith(t, 'base.cedar', (text) => `${text}\n// a remark\n`);
  assert.notEqual(readPolicySet(dir).digest, set.digest);
  assert.equal(readPolicySet(FACILITY).digest, set.digest);
});

test('a token is never allowed anything outside its project, enclave and environments, nor beyond its scopes', () => {
  const policy = openPolicy(set, quiet);
  const environments = [...loadFacility(FACILITY).environments.values()];
  const names = environments.map((e) => e.name);
  fc.assert(
    fc.property(
      fc.record({
        project: fc.constantFrom('demo', 'beamtime'),
        enclave: fc.constantFrom('open' as const, 'moderate' as const),
        environments: fc.subarray(names, { minLength: 1 }),
        scopes: fc.subarray([...ALL_SCOPES]),
      }),
      fc.record({ project: fc.constantFrom('demo', 'beamtime'), environment: fc.constantFrom(...environments) }),
      fc.constantFrom(...ACTIONS),
      (bounds, place, action) => {
        const resource = {
          project: place.project,
          environment: place.environment.name,
          enclave: place.environment.enclave,
        };
        const decision = policy.decide({ caller: token(bounds), action, resource, circumstances });
        const inBounds =
          bounds.project === resource.project &&
          bounds.enclave === resource.enclave &&
          bounds.environments.includes(resource.environment);
        const own = action.startsWith('self:');
        const holds = (bounds.scopes as readonly string[]).includes(action);
        assert.equal(decision.allowed, inBounds && (own || holds));
      },
    ),
    { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 400) },
  );
});

test('what belongs to another project is not found, with the rules kept for the log', () => {
  const policy = openPolicy(set, quiet);
  const question: PolicyQuestion = {
    caller: token(),
    action: 'job:read',
    resource: { project: 'beamtime', environment: 'ace', enclave: 'open' },
    circumstances,
  };
  assert.throws(
    () => policy.authorize(question),
    (e: unknown) =>
      e instanceof Problem &&
      e.code === 'not-found' &&
      e.extras.rules === undefined &&
      JSON.stringify(e.cause).includes('token-covers-project'),
  );
});

test('a denial names all rules that object, with what would change it, in the order of the files', () => {
  const policy = openPolicy(set, quiet);
  for (let i = 0; i < 20; i++) {
    const decision = policy.decide({
      caller: token({ scopes: ['job:read'], subject: String(i) }),
      action: 'job:submit',
      resource: { project: 'demo', environment: 'frontier', enclave: 'moderate' },
      circumstances,
    });
    assert.ok(!decision.allowed);
    assert.deepEqual(
      decision.rules.map((r) => r.rule),
      ['token-holds-scope', 'token-covers-enclave', 'token-covers-environment'],
    );
    assert.match(decision.rules[0]?.detail ?? '', /scope job:submit; this one holds job:read/);
  }
});

test('an evaluation that errs is a denial and an alarm, never an allowance', () => {
  const alarms: object[] = [];
  const policy = openPolicy(set, { error: (fields) => void alarms.push(fields) });
  const broken = { ...token(), scopes: [1] as unknown as readonly [] };
  const decision = policy.decide({ caller: broken, action: 'job:read', resource: {}, circumstances });
  assert.equal(decision.allowed, false);
  assert.equal(alarms.length, 1);
});

test('another set is in force from the next question on, and nothing decided before lives on', (t) => {
  const policy = openPolicy(set, quiet);
  const question: PolicyQuestion = {
    caller: token(),
    action: 'job:cancel',
    resource: { project: 'demo', environment: 'ace', enclave: 'open' },
    circumstances,
  };
  assert.equal(policy.decide(question).allowed, true);
  const dir = facilityWith(
    t,
    'base.cedar',
    (text) =>
      `${text}\n@id("no-cancelling")\n@remedy("wait")\nforbid (principal, action == Action::"job:cancel", resource);\n`,
  );
  policy.replace(readPolicySet(dir));
  assert.equal(policy.decide(question).allowed, false);
});

test('a decision is remembered by what the caller is and when the factor was shown, not by who holds which bearer', () => {
  const policy = openPolicy(set, quiet);
  const now = circumstances.now;
  const person = (over: Partial<Extract<Caller, { kind: 'session' }>>): Caller => ({
    kind: 'session',
    id: 'tok_2',
    subject: 'ada',
    roles: ['member'],
    projects: ['demo'],
    assurance: { methods: ['oidc', 'totp'], factorAt: now },
    ...over,
  });
  const submits = (caller: Caller, later = 0) =>
    policy.decide({
      caller,
      action: 'job:submit',
      resource: { project: 'demo', environment: 'seeker', enclave: 'moderate' },
      circumstances: { now: now + later, lockdown: false },
    });
  const first = submits(person({}));
  assert.equal(first.allowed, true);
  assert.equal(submits(person({ id: 'tok_3' })), first, 'another bearer of the same person');
  assert.equal(submits(person({}), 30_000), first, 'within the same minute of the factor’s age');
  assert.equal(submits(person({ projects: [] })).allowed, false, 'no member any more');
  assert.equal(submits(person({ assurance: { methods: ['oidc'], factorAt: null } })).allowed, false);
  assert.equal(submits(person({}), 61 * 60_000).allowed, false, 'the factor has aged');
  const day = 24 * 3_600_000;
  assert.equal(submits(person({}), 2 * day), submits(person({}), 3 * day), 'past a day all ages are one');
});

test('an overlay never allows what the base denies: each environment is at most as lax as the base', () => {
  const facility = loadFacility(FACILITY);
  const without = policyMatrix({ ...set, overlays: new Map() }, facility);
  for (const row of policyMatrix(set, facility)) {
    const base = without.find(
      (r) => r.environment === row.environment && r.caller === row.caller && r.action === row.action,
    );
    assert.ok(!row.allowed || base?.allowed === true, `${row.environment} ${row.caller} ${row.action}`);
  }
  const inAce = without.filter((r) => r.environment === 'ace');
  assert.deepEqual(matrixDiff(inAce, inAce), []);
});

test('a token that is asked for in several environments is minted only where each overlay lets it', (t) => {
  const dir = facilityWith(
    t,
    'environments/frontier.cedar',
    (text) =>
      `${text}\n@id("no-minting-here")\n@remedy("wait")\nforbid (principal, action == Action::"token:mint", resource);\n`,
  );
  const policy = openPolicy(readPolicySet(dir), quiet);
  const caller: Caller = {
    kind: 'session',
    id: 'tok_2',
    subject: 'ada',
    roles: ['administrator'],
    projects: [],
    assurance: { methods: ['issued'], factorAt: null },
  };
  const objections = (...environments: string[]) => {
    const resource = { project: 'demo', enclave: 'moderate', environments, scopes: ['job:read'] } as const;
    const decision = policy.decide({ caller, action: 'token:mint', resource, circumstances });
    return decision.allowed ? [] : decision.rules.map((r) => r.rule);
  };
  assert.deepEqual(objections('seeker'), []);
  assert.deepEqual(objections('seeker', 'frontier'), ['no-minting-here']);
  assert.deepEqual(objections('frontier', 'seeker', 'nowhere'), ['no-minting-here']);
});

test('anonymous callers may do nothing at all', () => {
  const policy = openPolicy(set, quiet);
  for (const action of ACTIONS)
    assert.equal(policy.decide({ caller: ANONYMOUS, action, resource: {}, circumstances }).allowed, false, action);
});

test('the schema declares exactly the actions the program knows', () => {
  const declared = [...set.schema.matchAll(/"([a-z]+:[a-z-]+)"/g)].map((m) => m[1] ?? '');
  assert.deepEqual([...new Set(declared)].sort(), [...ACTIONS].sort());
});
