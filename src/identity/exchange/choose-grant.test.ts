import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../../problems.ts';
import { ALL_SCOPES, type Scope } from '../scope.ts';
import { chooseGrant, type ExchangeWish, personOf } from './choose-grant.ts';
import { trustedIssuer } from './exchange.fixture.ts';
import type { Grant } from './federation.ts';

const ALL: ExchangeWish = {
  project: undefined,
  environments: undefined,
  scopes: undefined,
  lifetimeSeconds: undefined,
};
const grant = (change: Partial<Grant> = {}): Grant => ({
  project: 'demo',
  environments: ['ace'],
  scopes: ['job:read'],
  classification: 'public',
  sources: [],
  ...change,
});

function codeOf(grants: readonly Grant[], wish: Partial<ExchangeWish>, claims = {}): string {
  try {
    chooseGrant(trustedIssuer({ grants: [...grants] }), claims, { ...ALL, ...wish });
    return 'fine';
  } catch (thrown) {
    if (!(thrown instanceof Problem)) throw thrown;
    return thrown.code;
  }
}

test('what is left out is as wide as the grant, and what is asked for beyond it is refused', () => {
  const grants = [
    grant(),
    grant({ project: 'beamtime', scopes: ['stream:read', 'stream:connect'], environments: ['ace', 'odo'] }),
  ];
  const all = chooseGrant(trustedIssuer({ grants }), {}, { ...ALL, project: 'beamtime', lifetimeSeconds: 9e9 });
  assert.deepEqual(
    [all.environments, all.scopes, all.lifetimeSeconds],
    [['ace', 'odo'], ['stream:read', 'stream:connect'], 3600],
  );
  assert.equal(codeOf(grants, {}), 'target-refused', 'two projects: one must be named');
  assert.equal(codeOf(grants, { project: 'other' }), 'target-refused');
  assert.equal(codeOf(grants, { project: 'demo', environments: ['odo'] }), 'target-refused');
  assert.equal(codeOf(grants, { project: 'demo', scopes: ['stream:read'] }), 'scope-refused');
  assert.equal(codeOf(grants, { project: 'demo', scopes: ['no:scope'] }), 'scope-refused');
});

test('a grant is for those that its claim names', () => {
  const grants = [grant({ who: { claim: 'groups', values: ['hpc'] } })];
  assert.equal(codeOf(grants, {}, { groups: ['x', 'hpc'] }), 'fine');
  assert.equal(codeOf(grants, {}, { groups: 'hpc' }), 'fine');
  for (const groups of [undefined, 'hpc2', ['HPC'], { hpc: true }, [['hpc']]])
    assert.equal(codeOf(grants, {}, { groups }), 'target-refused');
});

test('whatever is asked for, nothing is given beyond one grant of the table', () => {
  const scopes = fc.subarray([...ALL_SCOPES] as Scope[], { minLength: 1 });
  const environments = fc.subarray(['ace', 'odo'], { minLength: 1 });
  const anyGrant = fc.record({ project: fc.constantFrom('demo', 'beamtime'), environments, scopes }).map(grant);
  const anyWish = fc.record({
    project: fc.option(fc.constantFrom('demo', 'beamtime', 'x'), { nil: undefined }),
    environments: fc.option(environments, { nil: undefined }),
    scopes: fc.option(scopes, { nil: undefined }),
    lifetimeSeconds: fc.option(fc.integer({ min: 1, max: 100_000 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(anyGrant, { minLength: 1, maxLength: 4 }), anyWish, (grants, wish) => {
      if (codeOf(grants, wish) !== 'fine') return;
      const given = chooseGrant(trustedIssuer({ grants }), {}, wish);
      assert.ok(grants.includes(given.grant));
      assert.ok(given.scopes.every((s) => given.grant.scopes.includes(s)));
      assert.ok(given.environments.every((e) => given.grant.environments.includes(e)));
      assert.ok(given.scopes.length > 0 && given.environments.length > 0 && given.lifetimeSeconds <= 3600);
    }),
  );
});

test('a person is named with the issuer, and only by what can be written in a record', () => {
  const named = (claims: object, claim = 'sub') => personOf(trustedIssuer({ person: { claim } }), { ...claims });
  assert.equal(named({ sub: 'ada' }), 'ada@campus');
  assert.equal(named({ email: 'ada@x.example', email_verified: true }, 'email'), 'ada@x.example@campus');
  assert.equal(named({ email: 'ada@x.example' }, 'email'), undefined);
  for (const sub of ['', 'a b', 'a\n', ' ada', 'ä', 'a'.repeat(101), 7, null, ['ada'], '../x', 'a\u202e'])
    assert.equal(named({ sub }), undefined, JSON.stringify(sub));
});
