/** A child is never wider than its parent, whatever is asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { delegationFaults, MOST_DEPTH } from './delegate-token.ts';
import { ALL_SCOPES } from './scope.ts';
import { PLAIN_TOKEN, type Token } from './token.ts';

const NOW = 1_800_000_000_000;
const ENVIRONMENTS = ['ace', 'odo', 'seeker', 'frontier'];

const parentArbitrary = fc.record({
  scopes: fc.subarray([...ALL_SCOPES]),
  environments: fc.subarray(ENVIRONMENTS, { minLength: 1 }),
  lifetimeSeconds: fc.integer({ min: 1, max: 86_400 }),
  depth: fc.integer({ min: 0, max: MOST_DEPTH + 1 }),
});

function tokenOf(parent: {
  readonly scopes: Token['scopes'];
  readonly environments: readonly string[];
  readonly lifetimeSeconds: number;
  readonly depth: number;
}): Token {
  return {
    id: 'tok_parent',
    kind: 'token',
    subject: 's',
    description: '',
    parent: null,
    depth: parent.depth,
    project: 'demo',
    enclave: 'open',
    environments: parent.environments,
    scopes: parent.scopes,
    roles: [],
    ...PLAIN_TOKEN,
    createdAt: new Date(NOW),
    createdBy: 'x',
    notBefore: new Date(NOW),
    expiresAt: new Date(NOW + parent.lifetimeSeconds * 1000),
    revokedAt: null,
    revokedBy: null,
  };
}

test('a child that is accepted has a subset of scopes and environments, a shorter life and a bounded depth, and every such child is accepted', () => {
  fc.assert(
    fc.property(
      parentArbitrary,
      fc.record({
        scopes: fc.array(fc.constantFrom(...ALL_SCOPES, 'no:scope'), { maxLength: 6 }),
        environments: fc.option(fc.array(fc.constantFrom(...ENVIRONMENTS, 'nowhere'), { maxLength: 4 }), {
          nil: undefined,
        }),
        lifetimeSeconds: fc.integer({ min: 1, max: 100_000 }),
      }),
      (parent, child) => {
        const held: readonly string[] = parent.scopes;
        const environments = child.environments ?? parent.environments;
        const narrower =
          child.scopes.length > 0 &&
          child.scopes.every((s) => held.includes(s)) &&
          environments.length > 0 &&
          environments.every((e) => parent.environments.includes(e)) &&
          child.lifetimeSeconds <= parent.lifetimeSeconds &&
          parent.depth < MOST_DEPTH;
        assert.equal(delegationFaults(tokenOf(parent), child, NOW).length === 0, narrower);
      },
    ),
    { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 1000) },
  );
});

test('every field in which a child would be wider is named at once', () => {
  const parent = tokenOf({ scopes: ['job:read'], environments: ['ace'], lifetimeSeconds: 60, depth: MOST_DEPTH });
  const faults = delegationFaults(
    parent,
    { scopes: ['job:submit', 'nonsense'], environments: ['odo'], lifetimeSeconds: 61 },
    NOW,
  );
  assert.deepEqual(
    faults.map((f) => f.pointer),
    ['#/', '#/scopes/0', '#/scopes/1', '#/environments/0', '#/lifetimeSeconds'],
  );
});
