/** The order of the pipeline, and what it records; the routes, the verifier and the audit log behind it are fakes. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Problem } from '../problems.ts';
import { BEARER_ELSEWHERE, FAKE_BEARER, type FrontDoor, openFrontDoor } from './front-door.fixture.ts';
import { PIPELINE } from './pipeline.ts';
import type { Route } from './route.ts';

const HERE = { project: 'demo', environment: 'ace', enclave: 'open' } as const;
const SPEC = { script: '#!/bin/sh\nexport PASSWORD=hunter2\n', name: 'x' };

interface Handled {
  readonly door: FrontDoor;
  readonly calls: () => number;
}

async function doorWith(t: TestContext, route: Partial<Route> = {}): Promise<Handled> {
  let calls = 0;
  const submit: Route = {
    locate: () => ({ resource: HERE, label: '' }),
    ...route,
    handle: async (call) => {
      calls += 1;
      return (await route.handle?.(call)) ?? { id: 'job_1' };
    },
  };
  const door = await openFrontDoor(t, { routes: { 'job.submit': submit, 'job.show': submit, 'job.cancel': submit } });
  return { door, calls: () => calls };
}

function submit(door: FrontDoor, body: object = SPEC): Promise<Response> {
  const headers = { authorization: `Bearer ${FAKE_BEARER}`, 'content-type': 'application/json' };
  return fetch(`${door.url}/beamway/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(body) });
}

const phases = (door: FrontDoor): (readonly [string, number | null])[] => door.records.map((r) => [r.phase, r.status]);

test('the steps stand in one order', () => {
  assert.deepEqual(PIPELINE, [
    'limit by address',
    'authenticate',
    'limit by token and project',
    'take a slot',
    'validate',
    'locate and authorize',
    'limit by environment',
    'claim the idempotency key',
    'spend a use of the token',
    'flag use outside its purpose',
    'record the intent',
    'handle',
    'remember the answer',
    'record the outcome',
  ]);
});

test('a mutation is recorded before and after, with the listed fields of its body and no others', async (t) => {
  const { door } = await doorWith(t);
  const answer = await submit(door);
  assert.equal(answer.status, 201);
  assert.deepEqual(phases(door), [
    ['intent', null],
    ['outcome', 201],
  ]);
  const [intent, outcome] = door.records;
  assert.equal(intent?.requestId, answer.headers.get('x-request-id'));
  assert.equal(outcome?.resource, 'job_1');
  assert.deepEqual([intent?.callerId, intent?.project, intent?.action], ['tok_fake', 'demo', 'job.submit']);
  assert.doesNotMatch(JSON.stringify(door.records), /hunter2/);
});

test('the intent of what was allowed and the denial of what was not carry the question, so that it can be decided again', async (t) => {
  const { door } = await doorWith(t);
  await submit(door);
  const elsewhere = await doorWith(t, { locate: () => ({ resource: { ...HERE, environment: 'odo' }, label: '' }) });
  await submit(elsewhere.door);
  const questions = [...door.records, ...elsewhere.door.records].map((r) => {
    const { allowed, action, resource } = (r.detail['question'] ?? {}) as Record<string, unknown>;
    return [r.phase, allowed, action, resource];
  });
  assert.deepEqual(questions, [
    ['intent', true, 'job:submit', HERE],
    ['outcome', undefined, undefined, undefined],
    ['denied', false, 'job:submit', { ...HERE, environment: 'odo' }],
  ]);
});

test('a mutation whose intent cannot be recorded is refused, and nothing was done', async (t) => {
  const { door, calls } = await doorWith(t);
  door.breakAudit();
  const answer = await submit(door);
  assert.equal(answer.status, 503);
  assert.equal(((await answer.json()) as { code: string }).code, 'unavailable');
  assert.equal(calls(), 0);
});

test('what fails after its intent has an outcome that says so, and its cause stays with us', async (t) => {
  const { door } = await doorWith(t, {
    handle: () => {
      throw new Error('disk /secret/path is full');
    },
  });
  const answer = await submit(door);
  const text = await answer.text();
  assert.equal(answer.status, 500);
  assert.match(text, /"code":"internal"/);
  assert.doesNotMatch(text, /secret/);
  assert.deepEqual(phases(door), [
    ['intent', null],
    ['outcome', 500],
  ]);
  assert.equal(door.records[1]?.detail['code'], 'internal');
});

test('an invalid request is neither authorized nor recorded nor handled', async (t) => {
  let located = 0;
  const { door, calls } = await doorWith(t, {
    locate: () => {
      located += 1;
      return { resource: HERE, label: '' };
    },
  });
  assert.equal((await submit(door, { ...SPEC, nodes: 0 })).status, 400);
  assert.deepEqual([located, calls(), door.records.length], [0, 0, 0]);
});

test('a denial is recorded with the rules that say no, even where the answer only says not found', async (t) => {
  for (const [resource, status, rule] of [
    [{ ...HERE, environment: 'odo' }, 403, 'token-covers-environment'],
    [{ ...HERE, project: 'beamtime' }, 404, 'token-covers-project'],
  ] as const) {
    const { door, calls } = await doorWith(t, { locate: () => ({ resource, label: 'job/job_9' }) });
    const headers = { authorization: `Bearer ${FAKE_BEARER}` };
    for (const answer of [await submit(door), await fetch(`${door.url}/beamway/v1/jobs/job_9`, { headers })]) {
      assert.equal(answer.status, status);
      assert.equal((await answer.text()).includes(rule), status === 403);
    }
    assert.deepEqual(phases(door), [
      ['denied', status],
      ['denied', status],
    ]);
    for (const record of door.records) assert.match(JSON.stringify(record.detail['rules']), new RegExp(rule));
    assert.equal(calls(), 0);
  }
});

test('a thing that is not there is no denial', async (t) => {
  const { door } = await doorWith(t, {
    locate: () => {
      throw new Problem('not-found', 'No job.');
    },
  });
  const headers = { authorization: `Bearer ${FAKE_BEARER}` };
  assert.equal((await fetch(`${door.url}/beamway/v1/jobs/job_1`, { headers })).status, 404);
  assert.deepEqual(door.records, []);
});

test('a token tried from where it may not be used is slowed apart from its rightful use; a few tries are recorded, all are counted', async (t) => {
  const tries = 100;
  const route: Route = { locate: () => ({ resource: HERE, label: '' }), handle: () => ({}) };
  const slow = { read: { perSecond: 0.01, burst: 3 } };
  const door = await openFrontDoor(t, { routes: { 'job.show': route }, limits: { token: slow, project: slow } });
  const show = (bearer: string): Promise<Response> =>
    fetch(`${door.url}/beamway/v1/jobs/job_1`, { headers: { authorization: `Bearer ${bearer}` } });
  const told: Record<number, number> = { 403: 0, 429: 0 };
  for (let i = 0; i < tries; i++) {
    const answer = await show(BEARER_ELSEWHERE);
    told[answer.status] = (told[answer.status] ?? 0) + 1;
    const { code } = (await answer.json()) as { code: string };
    assert.equal(code, answer.status === 403 ? 'token-wrong-source' : 'rate-limited');
    assert.equal(Number(answer.headers.get('retry-after')) >= 1, answer.status === 429);
  }
  assert.equal((told[403] ?? 0) + (told[429] ?? 0), tries);
  assert.ok((told[429] ?? 0) > 0);
  for (let i = 0; i < slow.read.burst; i++) assert.equal((await show(FAKE_BEARER)).status, 200);
  const inFull = door.records.length;
  assert.ok(inFull >= 5 && inFull < tries / 2, `${inFull} records in full`);
  await door.denials.flush();
  const counted: Record<number, number> = { 403: 0, 429: 0 };
  for (const { status, detail, ...of } of door.records) {
    counted[status ?? 0] = (counted[status ?? 0] ?? 0) + Number(detail['times'] ?? 1);
    assert.deepEqual(
      [of.phase, of.callerKind, of.callerId, of.subject, of.project, of.action, detail['from']],
      ['denied', 'token', 'tok_fake', 'ada', 'demo', 'job.show', '127.0.0.1'],
    );
  }
  assert.deepEqual(counted, told);
});
