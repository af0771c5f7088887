/** A child is never wider than its parent, whatever is asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressList } from '../address-list.ts';
import { CLASSIFICATIONS } from './caller.ts';
import { type DelegateInput, delegationFaults, MOST_DEPTH } from './delegate-token.ts';
import { ALL_SCOPES } from './scope.ts';
import { exampleRules, NOW, tokenLike } from './token.fixture.ts';
import { type Token, usesLeft } from './token.ts';
import { purposeScopes } from './token-rules.ts';

const RUNS = { numRuns: Number(process.env['BEAMWAY_SOAK_RUNS'] ?? 1000) };
const ENVIRONMENTS = ['ace', 'odo', 'seeker', 'frontier'];
const PURPOSES = ['', ...Object.keys(exampleRules.purposes)];
const RANGES = ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.3', '192.0.2.0/24', '::ffff:10.1.0.0/112', '2001:db8::/32'];
const ADDRESSES = ['10.0.0.1', '10.1.2.3', '10.1.255.1', '192.0.2.9', '2001:db8::7', '203.0.113.1'];
const at = { nowMs: NOW, rules: exampleRules };
const faultsOf = (parent: Token, input: DelegateInput) => delegationFaults(parent, input, at);

const seconds = (max: number) => fc.integer({ min: 1, max });
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const instant = fc.integer({ min: -7200, max: 100_000 }).map((s) => new Date(NOW + s * 1000));

const parentArbitrary: fc.Arbitrary<Token> = fc
  .record({
    scopes: fc.subarray([...ALL_SCOPES]),
    environments: fc.subarray(ENVIRONMENTS, { minLength: 1 }),
    lifetimeSeconds: seconds(86_400),
    depth: fc.integer({ min: 0, max: MOST_DEPTH + 1 }),
    purpose: fc.constantFrom(...PURPOSES),
    classification: fc.constantFrom(...CLASSIFICATIONS),
    sources: fc.subarray(RANGES),
    bound: fc.option(fc.record({ max: seconds(20), uses: fc.nat(10), reserved: fc.nat(10) }), { nil: undefined }),
    renewableUntil: fc.option(instant, { nil: null }),
  })
  .map(({ bound, lifetimeSeconds, ...rest }) =>
    tokenLike({
      ...rest,
      expiresAt: new Date(NOW + lifetimeSeconds * 1000),
      ...(bound !== undefined && {
        maxUses: bound.max,
        uses: Math.min(bound.uses, bound.max),
        reservedUses: Math.min(bound.reserved, Math.max(0, bound.max - bound.uses)),
      }),
    }),
  );

/** What of each field is surely within the parent. */
const SAFE: Readonly<Record<string, (parent: Token) => unknown>> = {
  scopes: (p) => p.scopes.slice(0, 2),
  environments: () => undefined,
  lifetimeSeconds: () => 1,
  purpose: () => undefined,
  classification: () => undefined,
  sources: (p) => p.sources.slice(0, 1),
  maxUses: (p) => usesLeft(p) ?? undefined,
  renewableDays: () => 0,
  notBefore: () => undefined,
};

const childArbitrary: fc.Arbitrary<DelegateInput> = fc.record({
  scopes: fc.array(fc.constantFrom(...ALL_SCOPES, 'no:scope'), { maxLength: 6 }),
  environments: maybe(fc.array(fc.constantFrom(...ENVIRONMENTS, 'nowhere'), { maxLength: 4 })),
  lifetimeSeconds: seconds(100_000),
  purpose: maybe(fc.constantFrom(...PURPOSES, 'constructor')),
  classification: maybe(fc.constantFrom(...CLASSIFICATIONS)),
  sources: maybe(fc.array(fc.constantFrom(...RANGES, '0.0.0.0/0', '::/0', 'nonsense'), { maxLength: 3 })),
  maxUses: maybe(seconds(25)),
  renewableDays: maybe(fc.integer({ min: 0, max: 2 })),
  notBefore: maybe(instant.map((d) => d.toISOString())),
});

/** Written apart from the code under test: is every power of the child one of its parent's? */
function isNarrower(parent: Token, child: DelegateInput): boolean {
  const held: readonly string[] = parent.scopes;
  const environments = child.environments ?? parent.environments;
  const startMs = child.notBefore === undefined ? NOW : Date.parse(child.notBefore);
  const endMs = startMs + child.lifetimeSeconds * 1000;
  const renewedToMs = startMs + (child.renewableDays ?? 0) * 86_400_000;
  const parentToMs = Math.max(parent.expiresAt.getTime(), parent.renewableUntil?.getTime() ?? 0);
  const purpose = child.purpose ?? parent.purpose;
  const own = purposeScopes(exampleRules, purpose);
  const wide = purposeScopes(exampleRules, parent.purpose) ?? [];
  const ranks = [child.classification ?? parent.classification, parent.classification].map((c) =>
    CLASSIFICATIONS.indexOf(c),
  );
  const left = usesLeft(parent);
  return (
    child.scopes.length > 0 &&
    child.scopes.every((s) => held.includes(s)) &&
    environments.length > 0 &&
    environments.every((e) => parent.environments.includes(e)) &&
    parent.depth < MOST_DEPTH &&
    startMs >= parent.notBefore.getTime() &&
    endMs <= parent.expiresAt.getTime() &&
    ((child.renewableDays ?? 0) === 0 || renewedToMs <= parentToMs) &&
    (parent.purpose === '' || purpose === parent.purpose || (own?.every((s) => wide.includes(s)) ?? false)) &&
    (ranks[0] ?? 9) <= (ranks[1] ?? -1) &&
    sourcesNarrower(parent.sources, child.sources ?? parent.sources) &&
    (left === null || (child.maxUses !== undefined && child.maxUses <= left))
  );
}

/** The ranges above are such that a handful of addresses tells them apart. */
function sourcesNarrower(parents: readonly string[], children: readonly string[]): boolean {
  if (parents.length === 0) return true;
  if (children.length === 0 || children.includes('nonsense') || children.some((c) => c.endsWith('/0'))) return false;
  const [outer, inner] = [addressList(parents), addressList(children)];
  return ADDRESSES.every((a) => !inner.check(a) || outer.check(a));
}

/** A child that takes its parent's own bounds, with a few of its wishes left to chance: about half of them are granted. */
const nearlyNarrow = fc
  .tuple(parentArbitrary, childArbitrary, fc.subarray(Object.keys(SAFE), { minLength: 7 }))
  .map(([parent, child, safe]): [Token, DelegateInput] => {
    const kept = Object.entries(SAFE).filter(([field]) => safe.includes(field));
    const fitting = Object.fromEntries(kept.map(([field, of]) => [field, of(parent)]));
    return [
      { ...parent, depth: parent.depth % (MOST_DEPTH + 1) },
      { ...child, ...fitting },
    ];
  });

test('a child is accepted exactly where it is narrower in every way', () => {
  let granted = 0;
  const anyPair = fc.tuple(parentArbitrary, childArbitrary);
  fc.assert(
    fc.property(fc.oneof(anyPair, nearlyNarrow), ([parent, child]) => {
      const narrow = isNarrower(parent, child);
      if (narrow) granted += 1;
      assert.equal(faultsOf(parent, child).length === 0, narrow);
    }),
    RUNS,
  );
  assert.ok(granted > RUNS.numRuns / 20, `${granted} were granted: both sides are tried`);
});

test('what is left out is the parent’s, so that the plainest wish of a fitting life is granted', () => {
  const least = parentArbitrary.filter((p) => p.scopes.length > 0 && p.depth < MOST_DEPTH && usesLeft(p) === null);
  fc.assert(
    fc.property(least, (parent) => {
      assert.deepEqual(faultsOf(parent, { scopes: parent.scopes, lifetimeSeconds: 1 }), []);
    }),
    RUNS,
  );
});

test('uses that children were given, and the parent’s own, never exceed the parent’s bound, whatever is asked in which order', () => {
  const wishes = fc.array(fc.oneof(fc.constant('use' as const), seconds(6)), { maxLength: 30 });
  fc.assert(
    fc.property(seconds(20), wishes, (maxUses, steps) => {
      let parent = tokenLike({ maxUses });
      const given: number[] = [];
      for (const step of steps) {
        if (step === 'use') {
          if (usesLeft(parent) !== 0) parent = { ...parent, uses: parent.uses + 1 };
          continue;
        }
        const wish = { scopes: ['job:read'], lifetimeSeconds: 1, maxUses: step };
        if (faultsOf(parent, wish).length > 0) continue;
        given.push(step);
        parent = { ...parent, reservedUses: parent.reservedUses + step };
      }
      assert.ok(parent.uses + given.reduce((a, b) => a + b, 0) <= maxUses);
      assert.ok((usesLeft(parent) ?? -1) >= 0);
    }),
    RUNS,
  );
});

test('every field in which a child would be wider is named at once, with what is allowed', () => {
  const parent = tokenLike({
    expiresAt: new Date(NOW + 60_000),
    depth: MOST_DEPTH,
    sources: ['10.0.0.0/8'],
    maxUses: 5,
    uses: 2,
    purpose: 'detector',
  });
  const faults = faultsOf(parent, {
    scopes: ['job:submit', 'nonsense'],
    environments: ['odo'],
    lifetimeSeconds: 61,
    classification: 'controlled',
    sources: ['10.1.0.0/16', '192.0.2.1'],
    maxUses: 4,
    purpose: 'steering',
    renewableDays: 1,
  });
  assert.deepEqual(
    faults.map((f) => f.pointer),
    [
      '#/',
      '#/scopes/0',
      '#/scopes/1',
      '#/environments/0',
      '#/lifetimeSeconds',
      '#/renewableDays',
      '#/purpose',
      '#/classification',
      '#/sources/1',
      '#/maxUses',
    ],
  );
  assert.match(faults.find((f) => f.pointer === '#/maxUses')?.detail ?? '', /from 1 to 3/);
  assert.match(faults.find((f) => f.pointer === '#/sources/1')?.detail ?? '', /10\.0\.0\.0\/8/);
});

test('whatever is asked, the answer is a list of faults and never an exception', () => {
  const noise = fc.record({
    scopes: fc.array(fc.string(), { maxLength: 4 }),
    environments: maybe(fc.array(fc.string(), { maxLength: 3 })),
    lifetimeSeconds: fc.double(),
    purpose: maybe(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString'))),
    sources: maybe(fc.array(fc.string(), { maxLength: 3 })),
    maxUses: maybe(fc.double()),
    renewableDays: maybe(fc.double()),
    notBefore: maybe(fc.string()),
  });
  fc.assert(
    fc.property(parentArbitrary, noise, (parent, child) => {
      for (const fault of faultsOf(parent, child)) assert.match(fault.pointer, /^#\//);
    }),
    RUNS,
  );
});
