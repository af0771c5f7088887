/** The example facility's policies as a table of decisions, and what holds for all of them. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ALL_SCOPES, ANONYMOUS, type Caller, ROLES, type SessionCaller, type TokenCaller } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import {
  ACTIONS,
  type Action,
  type Asker,
  type Circumstances,
  loadPolicySet,
  openPolicy,
  type PolicyQuestion,
  type PolicyResource,
} from './index.ts';

const set = loadPolicySet(resolve(import.meta.dirname, '../../facility'));
const policy = openPolicy(set, { error: () => assert.fail('no evaluation of the example facility errs') });
type Asked = Omit<PolicyQuestion, 'circumstances'>;
const now = Date.UTC(2026, 10, 1);
const circumstances: Circumstances = { now, lockdown: false };
const decide = (question: Asked) => policy.decide({ circumstances, ...question });
const authorize = (question: Asked) => policy.authorize({ circumstances, ...question });

const token: TokenCaller = {
  kind: 'token',
  id: 'tok_1',
  subject: 'ada',
  project: 'demo',
  enclave: 'open',
  environments: ['ace'],
  scopes: ['job:read', 'job:submit'],
  purpose: '',
  classification: 'public',
};
const session = (roles: SessionCaller['roles'], projects: readonly string[] = []): SessionCaller => ({
  kind: 'session',
  id: 'tok_2',
  subject: 'bob',
  roles,
  projects,
  assurance: { methods: ['oidc', 'totp'], factorAt: now },
});
const stale = (caller: SessionCaller): SessionCaller => ({
  ...caller,
  assurance: { methods: ['oidc', 'totp'], factorAt: now - 61 * 60_000 },
});
const node: Caller = { kind: 'node', id: 'tok_3', subject: 'dsn01' };
const agent: Caller = { kind: 'node', id: 'tok_4', subject: 'slurm:perlmutter' };
const foreign: Asker = { kind: 'foreign', id: 'ada@campus', issuer: 'campus', subject: 'ada@campus' };
const system: Caller = { kind: 'system', id: 'runs', subject: 'runs' };
const here: PolicyResource = { project: 'demo', environment: 'ace', enclave: 'open' };

const objections = (
  caller: Asker,
  action: Action,
  resource: PolicyResource = here,
  more: Partial<Circumstances> = {},
): string[] => {
  const decision = policy.decide({ caller, action, resource, circumstances: { ...circumstances, ...more } });
  return decision.allowed ? [] : decision.rules.map((r) => r.rule);
};

type Line = readonly [string, Asker, Action, PolicyResource, readonly string[], Partial<Circumstances>?];
const TABLE: readonly Line[] = [
  ['a token does what its scopes say, where it is for', token, 'job:submit', here, []],
  ['a token lists its project', token, 'job:read', { project: 'demo' }, []],
  ['a token lacks a scope', token, 'job:cancel', here, ['token-holds-scope']],
  ['another project', token, 'job:read', { ...here, project: 'beamtime' }, ['token-covers-project']],
  ['another environment', token, 'job:read', { ...here, environment: 'odo' }, ['token-covers-environment']],
  [
    'another enclave',
    token,
    'job:read',
    { project: 'demo', environment: 'seeker', enclave: 'moderate' },
    ['token-covers-enclave', 'token-covers-environment'],
  ],
  [
    'all that stand against it are named',
    token,
    'run:create',
    { project: 'beamtime', environment: 'seeker', enclave: 'moderate' },
    ['token-holds-scope', 'token-covers-project', 'token-covers-enclave', 'token-covers-environment'],
  ],
  ['a token never mints', token, 'token:mint', here, ['mint-needs-membership']],
  ['a token looks at itself', token, 'self:read', {}, []],
  ['a token revokes itself', token, 'self:revoke', {}, []],
  ['a token is no node', token, 'node:sync', {}, ['only-nodes-sync']],
  ['a token revokes no other', token, 'token:revoke', {}, ['revoke-needs-security']],
  ['a token sees no nodes', token, 'node:read', {}, ['facility-view-needs-staff']],
  ['an administrator mints', session(['administrator']), 'token:mint', {}, []],
  ['an administrator submits anywhere', session(['administrator']), 'job:submit', here, []],
  ['an operator mints nothing', session(['operator']), 'token:mint', {}, ['mint-needs-membership']],
  ['an operator reads every project', session(['operator']), 'job:read', here, []],
  ['an operator submits nothing', session(['operator']), 'job:submit', here, ['session-sees-project']],
  ['security revokes tokens', session(['security']), 'token:revoke', {}, []],
  ['a member works in the own project', session(['member'], ['demo']), 'job:submit', here, []],
  ['a member sees no other project', session(['member'], ['beamtime']), 'job:read', here, ['session-sees-project']],
  ['a member lists nothing at large', session(['member'], ['demo']), 'job:read', {}, ['session-sees-project']],
  ['a session is no node', session(['administrator']), 'node:sync', {}, ['only-nodes-sync']],
  ['a node syncs', node, 'node:sync', {}, []],
  ['a node does nothing else', node, 'job:read', here, ['node-acts-for-itself-only']],
  ['a node has no role', node, 'token:mint', {}, ['node-acts-for-itself-only', 'mint-needs-membership']],
  ['a Slurm agent links its cluster', agent, 'cluster:link', { cluster: 'perlmutter' }, []],
  ['a Slurm agent links no other', agent, 'cluster:link', { cluster: 'frontier' }, ['agent-links-own-cluster']],
  ['nor none in particular', agent, 'cluster:link', {}, ['agent-links-own-cluster']],
  ['a Slurm agent reports for no node', agent, 'node:sync', {}, ['only-nodes-sync', 'agent-links-only']],
  ['a Slurm agent does nothing else', agent, 'job:read', here, ['agent-links-only']],
  [
    'a node is no Slurm agent',
    node,
    'cluster:link',
    { cluster: 'perlmutter' },
    ['node-acts-for-itself-only', 'only-agents-link'],
  ],
  ['an administrator is none', session(['administrator']), 'cluster:link', { cluster: 'a' }, ['only-agents-link']],
  ['another issuer’s person exchanges', foreign, 'token:exchange', here, []],
  ['another issuer’s person does nothing else', foreign, 'job:read', here, ['foreign-identity-exchanges-only']],
  ['nobody of ours is one', token, 'token:exchange', here, ['only-foreign-identities-exchange']],
  ['nobody does nothing', ANONYMOUS, 'job:read', here, ['caller-is-known']],
  [
    'the moderate enclave admits nobody by address',
    { ...token, enclave: 'moderate', environments: ['seeker'], scopes: ['stream:create'] },
    'stream:create',
    { project: 'demo', environment: 'seeker', enclave: 'moderate', admission: 'address' },
    ['moderate-admits-by-credential-only'],
  ],
  ['a member mints for the own project', session(['member'], ['demo']), 'token:mint', { project: 'demo' }, []],
  [
    'a member mints nothing for others',
    session(['member'], ['demo']),
    'token:mint',
    { project: 'demo', subject: 'ada' },
    ['mint-answers-for-oneself'],
  ],
  [
    'a member mints nothing that reads the metrics of all',
    session(['member'], ['demo']),
    'token:mint',
    { project: 'demo', enclave: 'open', scopes: ['metrics:read'] },
    ['metrics-mint-needs-staff'],
  ],
  [
    'an old factor mints nothing powerful',
    stale(session(['member'], ['demo'])),
    'token:mint',
    { project: 'demo', enclave: 'moderate', scopes: ['run:create'] },
    ['powerful-mint-needs-fresh-factor'],
  ],
  [
    'an old factor submits nothing in the moderate enclave',
    stale(session(['member'], ['demo'])),
    'job:submit',
    { project: 'demo', environment: 'odo', enclave: 'moderate' },
    ['moderate-acts-need-factor'],
  ],
  ['an old factor locks nothing', stale(session(['security'])), 'lockdown:set', {}, ['staff-acts-need-factor']],
  ['an operator locks nothing', session(['operator']), 'lockdown:set', {}, ['security-acts-need-security']],
  ['security imports nobody', session(['security']), 'person:import', {}, ['import-needs-administrator']],
  ['a stranger sees no tokens', session(['member']), 'token:read', here, ['token-view-needs-membership']],
  ['a token manages no factors', token, 'factor:manage', {}, ['factors-belong-to-sessions']],
  [
    'controlled data stays out of the open enclave',
    { ...token, classification: 'controlled' },
    'job:read',
    here,
    ['controlled-data-stays-moderate'],
  ],
  ['locked down nobody mints', session(['administrator']), 'token:mint', {}, ['lockdown-shuts'], { lockdown: true }],
  [
    'outside its purpose a token does nothing in frontier',
    { ...token, enclave: 'moderate', environments: ['frontier'], purpose: 'monitoring' },
    'job:submit',
    { project: 'demo', environment: 'frontier', enclave: 'moderate' },
    ['frontier-keeps-to-purpose'],
    { withinPurpose: false },
  ],
];

for (const [name, caller, action, resource, expected, more] of TABLE) {
  test(`policy: ${name}`, () => {
    assert.deepEqual(objections(caller, action, resource, more), expected);
  });
}

test('policy is never asked about a part of Beamway', () => {
  assert.throws(() => decide({ caller: system, action: 'job:submit', resource: here }), /a part of Beamway/);
});

test('every rule has a denial in the table that names it', () => {
  const named = new Set(TABLE.flatMap(([, , , , rules]) => rules));
  assert.deepEqual(
    [...set.base, ...[...set.overlays.values()].flat()]
      .filter((p) => p.effect === 'forbid' && !named.has(p.id))
      .map((p) => p.id),
    [],
  );
});

const ENCLAVE = { ace: 'open', odo: 'open', seeker: 'moderate', frontier: 'moderate' } as const;
const environments = fc.constantFrom(...(Object.keys(ENCLAVE) as (keyof typeof ENCLAVE)[]));
const projects = fc.constantFrom('demo', 'beamtime');
const tokens = fc
  .record({
    project: projects,
    environments: fc.uniqueArray(environments, { minLength: 1 }),
    scopes: fc.subarray([...ALL_SCOPES]),
  })
  .map((given): TokenCaller => {
    const enclave = ENCLAVE[given.environments[0] ?? 'ace'];
    return { ...token, ...given, enclave, environments: given.environments.filter((e) => ENCLAVE[e] === enclave) };
  });

test('no action lets a token gain anything in another project, environment or enclave', () => {
  fc.assert(
    fc.property(tokens, fc.constantFrom(...ACTIONS), projects, environments, (caller, action, project, environment) => {
      const resource = { project, environment, enclave: ENCLAVE[environment] };
      if (!decide({ caller, action, resource }).allowed) return;
      assert.equal(project, caller.project);
      assert.ok(caller.environments.includes(environment));
      assert.equal(resource.enclave, caller.enclave);
      assert.ok(action.startsWith('self:') || caller.scopes.some((s) => s === action));
    }),
    { numRuns: 2000 },
  );
});

test('a session without roles and projects may do nothing but see to itself', () => {
  for (const action of ACTIONS)
    assert.equal(
      objections(session([]), action).length === 0,
      action.startsWith('self:') || action === 'factor:manage',
      action,
    );
});

test('roles only add: who holds more of them may do no less', () => {
  const roles = fc.subarray([...ROLES]);
  fc.assert(
    fc.property(roles, roles, fc.constantFrom(...ACTIONS), (some, more, action) => {
      const before = decide({ caller: session(some), action, resource: here }).allowed;
      const after = decide({ caller: session([...some, ...more]), action, resource: here }).allowed;
      assert.ok(!before || after);
    }),
  );
});

test('what belongs to another project is not found, and the rules stay behind as the cause', () => {
  const question = { caller: token, action: 'job:read', resource: { ...here, project: 'beamtime' } } as const;
  assert.throws(
    () => authorize(question),
    (thrown: unknown) => {
      assert.ok(thrown instanceof Problem);
      assert.equal(thrown.code, 'not-found');
      assert.equal(thrown.extras.rules, undefined);
      assert.doesNotMatch(thrown.message, /beamtime|demo/);
      assert.deepEqual(thrown.cause, [{ rule: 'token-covers-project', detail: 'the token is for project demo' }]);
      return true;
    },
  );
});

test('a refusal says what would change it', () => {
  const question = { caller: token, action: 'job:cancel', resource: { ...here, environment: 'odo' } } as const;
  assert.throws(
    () => authorize(question),
    (thrown: unknown) =>
      thrown instanceof Problem &&
      thrown.code === 'refused' &&
      thrown.extras.rules?.length === 2 &&
      thrown.extras.rules.every((r) => r.detail.startsWith('mint a token')),
  );
});
