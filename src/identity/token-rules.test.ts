/** More power, shorter life and fewer source ranges; and a rules file that is wrong is told where. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseYaml, YamlError } from '../facility/index.ts';
import type { TokenCaller } from './caller.ts';
import { ALL_SCOPES } from './scope.ts';
import { exampleFacility, exampleRules, tokenLike } from './token.fixture.ts';
import { callerOf } from './token.ts';
import { isOutsidePurpose, longestLife, powerOf, type Reach, ruleFaults, tokenRulesSchema } from './token-rules.ts';

const PLAIN: Reach = {
  scopes: ['job:read'],
  environments: ['ace'],
  enclave: 'open',
  lifetimeSeconds: 60,
  purpose: '',
  classification: 'public',
  sources: [],
  maxUses: null,
  renewableSeconds: 0,
  startsInSeconds: 0,
};
const faults = (change: Partial<Reach>) => ruleFaults(exampleRules, exampleFacility, { ...PLAIN, ...change });
const pointers = (change: Partial<Reach>) => faults(change).map((f) => f.pointer);
const hours = (change: Partial<Reach>) =>
  longestLife(exampleRules, exampleFacility, { ...PLAIN, ...change }).seconds / 3600;

const TEXT = readFileSync(resolve(import.meta.dirname, '../../facility/token-rules.yaml'), 'utf8');
const faultsOf = (text: string): readonly { readonly line: number; readonly detail: string }[] => {
  try {
    parseYaml('token-rules.yaml', text, tokenRulesSchema);
    return [];
  } catch (thrown) {
    assert.ok(thrown instanceof YamlError);
    return thrown.faults;
  }
};

test('the most powerful scope and the strictest environment decide the life, and one use shortens it', () => {
  assert.equal(hours({}), 720);
  assert.equal(hours({ scopes: ['job:read', 'job:submit'] }), 336);
  assert.equal(hours({ scopes: ['job:read', 'token:delegate'] }), 168);
  assert.equal(hours({ environments: ['ace', 'frontier'] }), 24);
  assert.equal(hours({ scopes: ['token:delegate'], maxUses: 1 }), 24);
  assert.match(faults({ scopes: ['token:delegate'], lifetimeSeconds: 1e7 })[0]?.detail ?? '', /168 h.*powerful/);
});

test('adding a scope, an environment or a bound of one use never allows more', () => {
  const wish = fc.record({
    scopes: fc.subarray([...ALL_SCOPES, 'an:other'], { minLength: 1 }),
    environments: fc.subarray([...exampleFacility.environments.keys()], { minLength: 1 }),
  });
  fc.assert(
    fc.property(wish, fc.constantFrom(...ALL_SCOPES), ({ scopes, environments }, more) => {
      const [less, wider] = [powerOf(exampleRules, scopes), powerOf(exampleRules, [...scopes, more])];
      assert.ok(wider.maxSources <= less.maxSources && wider.maxLifetimeHours <= less.maxLifetimeHours);
      assert.ok(hours({ scopes: [...scopes, more], environments }) <= hours({ scopes, environments }));
      assert.ok(hours({ scopes, environments, maxUses: 1 }) <= hours({ scopes, environments }));
    }),
  );
});

test('a scope that no power lists is of the greatest power', () => {
  assert.equal(powerOf(exampleRules, ['job:read', 'a:new-one']).name, 'powerful');
});

test('all that goes beyond the rules is told at once, with what is allowed', () => {
  const all = faults({
    scopes: ['token:delegate'],
    environments: ['seeker'],
    enclave: 'moderate',
    lifetimeSeconds: 1e8,
    purpose: 'constructor',
    sources: ['nonsense', '0.0.0.0/0', '::/8', '10.0.0.1', '10.0.0.2'],
    renewableSeconds: 1e8,
    startsInSeconds: 1e8,
  });
  assert.deepEqual(
    all.map((f) => f.pointer),
    [
      '#/lifetimeSeconds',
      '#/purpose',
      '#/sources',
      '#/sources/0',
      '#/sources/1',
      '#/sources/2',
      '#/renewableDays',
      '#/notBefore',
    ],
  );
  assert.match(all.find((f) => f.pointer === '#/purpose')?.detail ?? '', /beamline-streaming/);
});

test('the moderate enclave wants the sources of a powerful token, and is the only place for controlled data', () => {
  const moderate = { environments: ['seeker'], enclave: 'moderate' } as const;
  assert.deepEqual(pointers({ ...moderate, scopes: ['token:delegate'] }), ['#/sources']);
  assert.deepEqual(pointers({ ...moderate, scopes: ['token:delegate'], sources: ['192.0.2.0/24'] }), []);
  assert.deepEqual(pointers({ ...moderate, scopes: ['job:submit'] }), []);
  assert.deepEqual(pointers({ classification: 'controlled' }), ['#/classification']);
  assert.deepEqual(pointers({ ...moderate, classification: 'controlled' }), []);
  assert.match(faults({ classification: 'controlled' })[0]?.detail ?? '', /there: public, proprietary/);
});

test('use outside of the purpose is what the purpose’s list does not hold; without a purpose nothing is', () => {
  const caller = (purpose: string) => callerOf(tokenLike({ purpose })) as TokenCaller;
  assert.equal(isOutsidePurpose(exampleRules, caller('monitoring'), 'job:submit'), true);
  assert.equal(isOutsidePurpose(exampleRules, caller('monitoring'), 'job:read'), false);
  assert.equal(isOutsidePurpose(exampleRules, caller('monitoring'), 'self:read'), false, 'no scope, no purpose');
  assert.equal(isOutsidePurpose(exampleRules, caller(''), 'job:submit'), false);
  assert.equal(isOutsidePurpose(exampleRules, caller('was-renamed'), 'job:read'), true);
});

test('a rules file is told its faults by line: unknown scopes, scopes with two powers, power that allows more', () => {
  assert.deepEqual(faultsOf(TEXT), []);
  const line = (text: string): number => TEXT.slice(0, TEXT.indexOf(text)).split('\n').length;
  const [twice] = faultsOf(TEXT.replace('[job:attach, token:delegate, window:request]', '[token:delegate, job:read]'));
  assert.deepEqual(
    [twice?.line, twice?.detail.includes('job:read has the power read already')],
    [line('[job:attach, token:delegate, window:request]'), true],
  );
  const [unknown] = faultsOf(TEXT.replace('[stream:read, stream:connect]', '[stream:read, stream:conect]'));
  assert.equal(unknown?.line, line('[stream:read, stream:connect]'));
  const [more] = faultsOf(TEXT.replace('maxSources: 4', 'maxSources: 40'));
  assert.match(more?.detail ?? '', /more than 16 of the lesser power act/);
});

test('whatever stands in the file, it is read or told its faults', () => {
  fc.assert(
    fc.property(fc.nat(TEXT.length), fc.nat(40), fc.string({ maxLength: 12 }), (from, cut, put) => {
      faultsOf(TEXT.slice(0, from) + put + TEXT.slice(from + cut));
    }),
    { numRuns: 300 },
  );
});
