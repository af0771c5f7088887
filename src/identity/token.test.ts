import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { callerOf, PLAIN_TOKEN, type Token, tokenState } from './token.ts';

const token = (change: Partial<Token>): Token => ({
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
  ...PLAIN_TOKEN,
  createdAt: new Date(0),
  createdBy: 'x',
  notBefore: new Date(1000),
  expiresAt: new Date(2000),
  revokedAt: null,
  revokedBy: null,
  ...change,
});

test('a token is valid from its start to just before its end', () => {
  const states = [999, 1000, 1999, 2000].map((now) => tokenState(token({}), now));
  assert.deepEqual(states, ['not-yet-valid', 'active', 'active', 'expired']);
});

test('a revoked token is revoked at every moment', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4000 }), (now) => {
      assert.equal(tokenState(token({ revokedAt: new Date(1500) }), now), 'revoked');
    }),
  );
});

test('the caller of a bearer carries what its kind may do, and nothing else', () => {
  assert.deepEqual(callerOf(token({})), {
    kind: 'token',
    id: 'tok_1',
    subject: 'ada',
    project: 'demo',
    enclave: 'open',
    environments: ['ace'],
    scopes: ['job:read'],
    purpose: '',
    classification: 'public',
  });
  const session = callerOf(token({ kind: 'session', project: null, enclave: null, roles: ['operator'] }));
  const assurance = { methods: [], factorAt: null };
  assert.deepEqual(session, {
    kind: 'session',
    id: 'tok_1',
    subject: 'ada',
    roles: ['operator'],
    projects: [],
    assurance,
  });
  assert.deepEqual(callerOf(token({ kind: 'node' })), { kind: 'node', id: 'tok_1', subject: 'ada' });
  assert.throws(() => callerOf(token({ project: null })), /no project/);
});
