/** The state of a bearer at any time, its factor's age then, and what would change a refusal. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { callerOf, PLAIN_TOKEN, type Token } from '../identity/index.ts';
import { explainAt, loadPolicySet, openPolicy, type PolicyResource } from './index.ts';

const policy = openPolicy(loadPolicySet(resolve(import.meta.dirname, '../../facility')), { error: () => undefined });
const HOUR = 3_600_000;
const START = Date.UTC(2026, 10, 1);
const at = (hours: number): Date => new Date(START + hours * HOUR);

const token: Token = {
  ...PLAIN_TOKEN,
  id: 'tok_1',
  kind: 'token',
  subject: 'ada',
  description: '',
  parent: null,
  depth: 0,
  project: 'demo',
  enclave: 'open',
  environments: ['ace'],
  scopes: ['job:read'],
  roles: [],
  createdAt: at(0),
  createdBy: 'tok_0',
  notBefore: at(1),
  expiresAt: at(10),
  revokedAt: at(5),
  revokedBy: 'tok_0',
};
const here: PolicyResource = { project: 'demo', environment: 'ace', enclave: 'open' };

function explained(of: Token, hours: number, ask: { action?: 'job:read' | 'job:submit' | 'key:rotate' } = {}) {
  const { action = 'job:read' } = ask;
  const circumstances = { now: at(hours).getTime(), lockdown: false };
  return explainAt(policy, { token: of, caller: callerOf(of), action, resource: here, circumstances });
}

test('a token is judged by its state at the time that is asked about', () => {
  const seen = [0.5, 2, 6].map((hours) => {
    const { allowed, tokenState, rules } = explained(token, hours);
    return [allowed, tokenState, rules[0]?.rule];
  });
  assert.deepEqual(seen, [
    [false, 'not-yet-valid', 'bearer-is-active'],
    [true, 'active', 'known-callers'],
    [false, 'revoked', 'bearer-is-active'],
  ]);
  const expired = explained({ ...token, revokedAt: null }, 11);
  assert.match(expired.rules[0]?.detail ?? '', /expired at 2026-11-01T10:00:00\.000Z: mint another one/);
});

test('a refusal by policy says what would change it, beside what the token’s state says', () => {
  const { allowed, rules } = explained(token, 6, { action: 'job:submit' });
  assert.equal(allowed, false);
  assert.deepEqual(
    rules.map((r) => r.rule),
    ['bearer-is-active', 'token-holds-scope'],
  );
  assert.match(rules[1]?.detail ?? '', /mint a token that holds the scope job:submit/);
});

test('the age of a session’s factor is that of the time asked about', () => {
  const session: Token = {
    ...token,
    kind: 'session',
    project: null,
    enclave: null,
    environments: [],
    scopes: [],
    roles: ['administrator'],
    revokedAt: null,
    methods: ['oidc', 'totp'],
    factorAt: at(2),
  };
  const seen = [1.5, 2.5, 3.5].map((hours) => {
    const { allowed, factorAgeMinutes } = explained(session, hours, { action: 'key:rotate' });
    return [allowed, factorAgeMinutes];
  });
  assert.deepEqual(seen, [
    [false, null],
    [true, 30],
    [false, 90],
  ]);
  const { rules } = explained(session, 3.5, { action: 'key:rotate' });
  assert.match(
    rules[0]?.detail ?? '',
    /the last one was shown 90 min ago: show one at \/beamway\/factor or with `beamway login --step-up`/,
  );
});

test('what the answer does not look at is said', () => {
  const bounded = { ...token, sources: ['192.0.2.0/24'], maxUses: 3, uses: 2 };
  assert.deepEqual(explained(bounded, 2).notes, [
    'it is believed only from 192.0.2.0/24',
    '1 of its 3 uses are left now',
  ]);
});
