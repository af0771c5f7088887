/** What must hold for the example facility's policies whatever is asked, and for any set: no error ever becomes an allowance. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ALL_SCOPES, ANONYMOUS, type Caller, CLASSIFICATIONS, ROLES } from '../identity/index.ts';
import { ACTIONS, type Asker, loadPolicySet, openPolicy, type PolicyQuestion, type PolicyResource } from './index.ts';

const runs = { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 400) };
const set = loadPolicySet(resolve(import.meta.dirname, '../../facility'));
const quiet = { error: () => undefined };
const policy = openPolicy(set, quiet);
const baseAlone = openPolicy({ ...set, overlays: new Map() }, quiet);
const NOW = Date.UTC(2026, 10, 1);

const ENCLAVE = { ace: 'open', odo: 'open', seeker: 'moderate', frontier: 'moderate' } as const;
const environment = fc.constantFrom('ace', 'odo', 'seeker', 'frontier' as const);
const project = fc.constantFrom('demo', 'beamtime');
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });

const token: fc.Arbitrary<Caller> = fc
  .record({
    project,
    environments: fc.uniqueArray(environment, { minLength: 1 }),
    scopes: fc.subarray([...ALL_SCOPES]),
    purpose: fc.constantFrom('', 'monitoring'),
    classification: fc.constantFrom(...CLASSIFICATIONS),
  })
  .map(({ environments: [first = 'ace', ...rest], ...more }) => {
    const enclave = ENCLAVE[first];
    const environments = [first, ...rest.filter((e) => ENCLAVE[e] === enclave)];
    return { kind: 'token', id: 'tok_1', subject: 'ada', enclave, environments, ...more };
  });
const session: fc.Arbitrary<Caller> = fc
  .record({
    subject: fc.constantFrom('ada', 'bob'),
    roles: fc.subarray([...ROLES]),
    projects: fc.subarray(['demo', 'beamtime']),
    leads: fc.subarray(['demo', 'beamtime']),
    methods: fc.subarray(['oidc', 'totp', 'issued', 'break-glass']),
    ageMinutes: maybe(fc.constantFrom(0, 15, 16, 60, 61, 100_000)),
  })
  .map(({ methods, ageMinutes, ...person }) => ({
    kind: 'session',
    id: 'tok_2',
    ...person,
    assurance: { methods, factorAt: ageMinutes === undefined ? null : NOW - ageMinutes * 60_000 },
  }));
const anybody: fc.Arbitrary<Asker> = fc.oneof(
  token,
  session,
  fc.constant<Caller>(ANONYMOUS),
  fc.constant<Caller>({ kind: 'node', id: 'tok_3', subject: 'dsn01' }),
  fc.constant<Caller>({ kind: 'node', id: 'tok_4', subject: 'slurm:alpha' }),
  fc.constant<Asker>({ kind: 'foreign', id: 'ada@campus', issuer: 'campus', subject: 'ada@campus' }),
);
const resource: fc.Arbitrary<PolicyResource> = fc
  .record({
    project: maybe(project),
    environment: maybe(environment),
    environments: maybe(fc.uniqueArray(environment)),
    scopes: maybe(fc.subarray([...ALL_SCOPES])),
    subject: maybe(fc.constantFrom('ada', 'bob')),
    classification: maybe(fc.constantFrom(...CLASSIFICATIONS)),
    cluster: maybe(fc.constantFrom('alpha', 'beta')),
    admission: maybe(fc.constantFrom('credential', 'address')),
  })
  .map((given) => {
    const enclave = given.environment === undefined ? undefined : ENCLAVE[given.environment];
    return Object.fromEntries(
      Object.entries({ ...given, enclave }).filter(([, v]) => v !== undefined),
    ) as PolicyResource;
  });
const question: fc.Arbitrary<PolicyQuestion> = fc.record({
  caller: anybody,
  action: fc.constantFrom(...ACTIONS),
  resource,
  circumstances: fc.record({ now: fc.constant(NOW), lockdown: fc.boolean(), withinPurpose: fc.boolean() }),
});
const allowed = (asked: PolicyQuestion, by = policy): boolean => by.decide(asked).allowed;

test('whoever sent no bearer may do nothing', () => {
  fc.assert(
    fc.property(question, (asked) => assert.equal(allowed({ ...asked, caller: ANONYMOUS }), false)),
    runs,
  );
});

test('an overlay never permits what the base denies', () => {
  fc.assert(
    fc.property(question, (asked) => assert.ok(!allowed(asked) || allowed(asked, baseAlone))),
    runs,
  );
});

test('another issuer’s person exchanges and does nothing else, nobody of ours does, and nobody in a lockdown', () => {
  fc.assert(
    fc.property(question, (asked) => {
      const isForeign = asked.caller.kind === 'foreign';
      if (!allowed(asked)) return;
      assert.equal(isForeign, asked.action === 'token:exchange');
      assert.ok(!isForeign || !asked.circumstances.lockdown);
    }),
    runs,
  );
});

test('a Slurm agent links its own cluster and does nothing else, and nobody else does', () => {
  fc.assert(
    fc.property(question, (asked) => {
      const isAgent = asked.caller.kind === 'node' && asked.caller.subject === 'slurm:alpha';
      if (!allowed(asked)) return;
      assert.equal(isAgent, asked.action === 'cluster:link');
      assert.ok(!isAgent || asked.resource.cluster === 'alpha');
    }),
    runs,
  );
});

test('a lockdown never turns a denial into an allowance', () => {
  fc.assert(
    fc.property(question, (asked) => {
      const at = (lockdown: boolean) => allowed({ ...asked, circumstances: { ...asked.circumstances, lockdown } });
      assert.ok(at(false) || !at(true));
    }),
    runs,
  );
});

test('nobody but a session with a right to it touches the lockdown, and no lockdown takes that right away', () => {
  fc.assert(
    fc.property(question, (asked) => {
      const lift = { ...asked, action: 'lockdown:set', circumstances: { now: NOW, lockdown: true } } as const;
      const { caller } = asked;
      const staff = caller.kind === 'session' && caller.roles.some((r) => r === 'administrator' || r === 'security');
      assert.ok(!allowed(lift) || staff);
      assert.equal(allowed(lift), allowed({ ...lift, circumstances: { now: NOW, lockdown: false } }));
    }),
    runs,
  );
});

test('more scopes never take away what a token may do', () => {
  fc.assert(
    fc.property(question, token, fc.subarray([...ALL_SCOPES]), (asked, caller, more) => {
      assert.ok(caller.kind === 'token');
      const wider: Caller = { ...caller, scopes: [...new Set([...caller.scopes, ...more])] };
      assert.ok(!allowed({ ...asked, caller }) || allowed({ ...asked, caller: wider }));
    }),
    runs,
  );
});

test('a fresher factor never takes away what a session may do', () => {
  fc.assert(
    fc.property(question, session, (asked, caller) => {
      assert.ok(caller.kind === 'session');
      const fresh: Caller = { ...caller, assurance: { ...caller.assurance, factorAt: NOW } };
      assert.ok(!allowed({ ...asked, caller }) || allowed({ ...asked, caller: fresh }));
    }),
    runs,
  );
});

const odd = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '\0', '\ud800', '__entity', '__proto__', 'Token::"x"', 'demo', '*', '"]}', 'a'.repeat(10_000)),
);
const oddSet = fc.array(odd, { maxLength: 20 });

test('odd texts, sets and ids are decided as what they are, and never allowed by an error', () => {
  fc.assert(
    fc.property(
      fc.record({ id: odd, project: odd, environments: oddSet, scopes: oddSet, purpose: odd }),
      fc.record({ project: odd, environment: odd, subject: odd, tier: odd }),
      fc.constantFrom(...ACTIONS),
      (bounds, place, action) => {
        const caller = {
          ...bounds,
          kind: 'token',
          subject: 's',
          enclave: 'open',
          classification: 'public',
        } as unknown as Caller;
        const asked = { caller, action, resource: place, circumstances: { now: NOW, lockdown: false } };
        const decision = policy.decide(asked);
        const inBounds = bounds.project === place.project && bounds.environments.includes(place.environment);
        const mayAtAll = action.startsWith('self:') || bounds.scopes.includes(action);
        if (decision.allowed) assert.ok(inBounds && mayAtAll);
        else if (inBounds && mayAtAll)
          assert.ok(decision.faults !== undefined, 'only what Cedar cannot hold is refused');
      },
    ),
    runs,
  );
});

test('attributes of a wrong type are a denial with a fault', () => {
  const junk = fc.oneof(
    fc.integer(),
    fc.constant(null),
    fc.boolean(),
    fc.array(fc.integer(), { minLength: 1 }),
    fc.object(),
  );
  fc.assert(
    fc.property(junk, fc.constantFrom('project', 'scopes', 'environments', 'purpose'), (value, field) => {
      const caller = {
        kind: 'token',
        id: 'tok_1',
        subject: 's',
        project: 'demo',
        enclave: 'open',
        environments: ['ace'],
        scopes: ALL_SCOPES,
        purpose: '',
        classification: 'public',
        [field]: value,
      } as unknown as Caller;
      let outcome: unknown;
      try {
        outcome = policy.decide({
          caller,
          action: 'job:read',
          resource: { project: 'demo' },
          circumstances: { now: NOW, lockdown: false },
        });
      } catch {
        return; // answered as 500, which allows nothing
      }
      assert.ok(typeof outcome === 'object' && outcome !== null && 'faults' in outcome, JSON.stringify(outcome));
    }),
    runs,
  );
});
