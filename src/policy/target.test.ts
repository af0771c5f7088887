import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadFacility } from '../facility/index.ts';
import type { Caller } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import { policyResource, resolveTarget, type TargetInput } from './target.ts';

const facility = loadFacility(new URL('../../facility', import.meta.url).pathname);
const token = (environments: readonly string[]): Caller => ({
  kind: 'token',
  id: 'tok_1',
  subject: 'ada',
  project: 'demo',
  enclave: 'open',
  environments,
  scopes: [],
  purpose: '',
  classification: 'public',
});
const session: Caller = {
  kind: 'session',
  id: 'tok_2',
  subject: 'bob',
  roles: ['administrator'],
  projects: [],
  assurance: { methods: ['oidc'], factorAt: null },
};

function problemOf(caller: Caller, input: TargetInput): { code: string; pointers: string[] } {
  try {
    resolveTarget(facility, caller, input);
  } catch (thrown) {
    assert.ok(thrown instanceof Problem);
    return { code: thrown.code, pointers: (thrown.extras.errors ?? []).map((e) => `${e.pointer}: ${e.detail}`) };
  }
  return assert.fail('it was resolved');
}

test('a token fills in its project, and its environment where it has just one', () => {
  const target = resolveTarget(facility, token(['ace']), {});
  assert.deepEqual(policyResource(target), { project: 'demo', environment: 'ace', enclave: 'open' });
  assert.deepEqual(problemOf(token(['ace', 'odo']), {}), {
    code: 'invalid-request',
    pointers: ['#/environment: name the environment: one of ace, odo'],
  });
});

test('a session must name both, and hears of all that is wrong at once', () => {
  assert.equal(problemOf(session, {}).pointers.length, 2);
  assert.deepEqual(problemOf(session, { project: 'nope', environment: 'nowhere' }).pointers, [
    '#/project: no project nope',
    '#/environment: no environment nowhere',
  ]);
  assert.deepEqual(problemOf(session, { project: 'beamtime', environment: 'seeker' }).pointers, [
    '#/environment: project beamtime is not in seeker',
  ]);
});

test('a token cannot tell a project that is not its own from one that does not exist', () => {
  for (const environment of ['seeker', 'frontier', 'nowhere', undefined]) {
    const answers = ['beamtime', 'nope'].map((project) => problemOf(token(['ace', 'odo']), { project, environment }));
    assert.deepEqual(answers[0], answers[1]);
  }
  assert.equal(problemOf(token(['ace']), { project: 'beamtime', environment: 'seeker' }).code, 'not-found');
});
