/** Project access tokens over HTTP: where they may be used from, how often, for what, and what a revocation tells. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sql } from 'kysely';
import { recordsPage } from '../../src/audit/index.ts';
import { issueToken, systemCaller, type TokenWishes, tokenById } from '../../src/identity/index.ts';
import { type ApiServer, type Bearer, eventually, fileScope, startApiServer } from './api-server.ts';
import { buildWorld, type World } from './operation-rows.ts';

const scope = fileScope();
let api: ApiServer;
let world: World;
let admin: Bearer;

before(async () => {
  api = await startApiServer(scope);
  world = await buildWorld(api);
  admin = await api.session('administrator');
});

const JOBS = '/beamway/v1/jobs';
const SUBMIT = { project: 'demo', environment: 'ace', script: '#!/bin/sh\nexit 0\n' };
const token = (more: TokenWishes, scopes: readonly string[] = ['job:read', 'job:submit']): Promise<Bearer> =>
  api.token({ scopes, more });
const uses = async ({ id }: Bearer): Promise<number | undefined> => (await tokenById(api.database.kysely, id))?.uses;
const recordsOf = async (requestId: string) =>
  (await recordsPage(api.database.kysely, { limit: 1000 })).filter((r) => r.requestId === requestId);

test('every field that goes beyond the rules is told at once over HTTP', async () => {
  const body = {
    project: 'demo',
    environments: ['seeker'],
    scopes: ['token:delegate'],
    lifetimeSeconds: 366 * 86_400,
    purpose: 'no-such-purpose',
    renewableDays: 3000,
  };
  const reply = await api.ask('/beamway/v1/tokens', { method: 'POST', bearer: admin, body });
  assert.equal(reply.code, 'invalid-request');
  const pointers = (reply.body['errors'] as { pointer: string }[]).map((e) => e.pointer);
  assert.deepEqual(pointers, ['#/lifetimeSeconds', '#/purpose', '#/sources', '#/renewableDays']);
});

test('a token used from elsewhere is refused, and the denial is recorded as its own', async () => {
  const elsewhere = await token({ sources: ['192.0.2.0/24'] });
  const reply = await api.ask(JOBS, { bearer: elsewhere });
  assert.deepEqual([reply.status, reply.code], [403, 'token-wrong-source']);
  const [record, ...rest] = await recordsOf(reply.requestId);
  assert.deepEqual(
    [record?.phase, record?.callerId, record?.detail['code'], rest],
    ['denied', elsewhere.id, 'token-wrong-source', []],
  );
  const here = await token({ sources: ['127.0.0.0/8', '::1'] });
  assert.equal((await api.ask(JOBS, { bearer: here })).status, 200);
});

test('a bounded token is used up by what it authorizes, not by refusals, looks at itself or answers given again', async () => {
  const bearer = await token({ maxUses: 2 });
  assert.equal((await api.ask('/beamway/v1/streams', { bearer })).status, 403);
  assert.equal((await api.ask('/beamway/v1/self', { bearer })).status, 200);
  assert.equal((await api.ask(JOBS, { method: 'POST', bearer, body: { nonsense: 1 } })).status, 400);
  assert.equal(await uses(bearer), 0);
  const submit = { method: 'POST', bearer, body: SUBMIT, key: 'once' };
  const first = await api.ask(JOBS, submit);
  assert.equal(first.status, 201);
  assert.deepEqual((await api.ask(JOBS, submit)).body['id'], first.body['id']);
  assert.equal(await uses(bearer), 1);
  assert.equal((await api.ask(JOBS, { bearer })).status, 200);
  const over = await api.ask(JOBS, { bearer });
  assert.deepEqual([over.status, over.code], [401, 'token-used-up']);
  assert.equal((await recordsOf(over.requestId))[0]?.callerId, bearer.id);
  assert.equal((await api.ask(JOBS, submit)).status, 201, 'its answer is still to be had');
  const own = await api.ask('/beamway/v1/self', { bearer });
  assert.deepEqual([own.body['uses'], own.body['maxUses']], [2, 2]);
  assert.equal((await api.ask('/beamway/v1/self', { method: 'DELETE', bearer })).status, 200);
});

test('a one-time token is used once, whoever is faster', async () => {
  const bearer = await token({ maxUses: 1 });
  const replies = await Promise.all(Array.from({ length: 8 }, () => api.ask(JOBS, { bearer })));
  assert.deepEqual(replies.map((r) => r.status).sort(), [200, ...Array.from({ length: 7 }, () => 401)]);
});

test('use outside of the purpose is done, recorded and shown on the token', async () => {
  const bearer = await token({ purpose: 'monitoring' });
  const inside = await api.ask(JOBS, { bearer });
  const outside = await api.ask(JOBS, { method: 'POST', bearer, body: SUBMIT });
  assert.deepEqual([inside.status, outside.status], [200, 201]);
  const records = await recordsOf(outside.requestId);
  assert.deepEqual(
    records.map((r) => r.detail['outsidePurpose']),
    [true, true],
  );
  const flag = await eventually('the flag', async () => {
    const shown = await api.ask(`/beamway/v1/tokens/${bearer.id}`, { bearer: admin });
    return (shown.body['outsidePurpose'] as { action: string; times: number } | null) ?? undefined;
  });
  assert.deepEqual([flag.action, flag.times], ['job:submit', 1]);
});

test('a value goes on as another one, and lists and views hold no secret', async () => {
  const bearer = await token({ renewableDays: 1 }, ['job:read', 'token:delegate']);
  const rotated = await api.ask('/beamway/v1/self/rotation', {
    method: 'POST',
    bearer,
    body: { overlapSeconds: 0 },
    key: 'turn',
  });
  assert.equal(rotated.status, 201);
  assert.equal((await api.ask('/beamway/v1/self', { bearer })).code, 'token-expired');
  const next = { id: String(rotated.body['id']), value: String(rotated.body['value']) };
  assert.equal((await api.ask('/beamway/v1/self/renewal', { method: 'POST', bearer: next, body: {} })).status, 200);
  const tree = await api.ask('/beamway/v1/self/tree', { bearer: next });
  assert.deepEqual((tree.body['tokens'] as { id: string }[]).map((t) => t.id).sort(), [bearer.id, next.id].sort());
  assert.doesNotMatch(tree.text, /digest|browser|bwp_/);
  const stale = await api.ask('/beamway/v1/self/renewal', { method: 'POST', bearer: admin, body: {} });
  assert.equal(stale.code, 'refused');
});

test('a revocation lists the streams on nodes that are not linked, with the time at which they are cut at the latest', async () => {
  const issue = (parent: Bearer) =>
    api.ask('/beamway/v1/self/children', {
      method: 'POST',
      bearer: parent,
      body: { scopes: ['stream:connect'], lifetimeSeconds: 600 },
    });
  const parents = [await api.token(), await api.token()];
  for (const parent of parents) {
    const child = await issue(parent);
    await world.playNode();
    const credential = await api.ask(`/beamway/v1/streams/${world.stream}/credentials`, {
      method: 'POST',
      bearer: String(child.body['value']),
      body: { role: 'producer' },
    });
    assert.equal(credential.status, 201, credential.text);
  }
  const [linked, cutOff] = parents;
  assert.ok(linked !== undefined && cutOff !== undefined);
  const revoke = (of: Bearer) => api.ask(`/beamway/v1/tokens/${of.id}`, { method: 'DELETE', bearer: admin });
  assert.deepEqual((await revoke(linked)).body['pending'], []);
  const silentSince = Date.now() - 20_000;
  await sql`update streaming_node set last_seen_at = ${new Date(silentSince)} where name = 'dsn01'`.execute(
    api.database.kysely,
  );
  const [pending, ...rest] = (await revoke(cutOff)).body['pending'] as {
    node: string;
    stream: string;
    until: string;
  }[];
  assert.deepEqual([pending?.node, pending?.stream, rest], ['dsn01', world.stream, []]);
  const stream = await api.ask(`/beamway/v1/streams/${world.stream}`, { bearer: world.owner });
  const until = Date.parse(pending?.until ?? '');
  assert.ok(until > Date.now() && until <= Date.parse(String(stream.body['expiresAt'])));
  assert.ok(until <= silentSince + 10_000 + 3_600_000, 'the template’s offline lifetime');
});

test('the children of a token are never wider over HTTP either, and uses are taken from the parent', async () => {
  const parent = await token({ maxUses: 9, sources: ['127.0.0.0/8'] }, ['job:read', 'token:delegate']);
  const ask = (body: object) =>
    api.ask('/beamway/v1/self/children', {
      method: 'POST',
      bearer: parent,
      body: { scopes: ['job:read'], lifetimeSeconds: 60, ...body },
    });
  const wide = await ask({ sources: ['0.0.0.0/0'], maxUses: 9, classification: 'controlled' });
  assert.deepEqual(
    [...new Set((wide.body['errors'] as { pointer: string }[]).map((e) => e.pointer))],
    ['#/classification', '#/sources/0', '#/maxUses'],
  );
  const child = await ask({ maxUses: 3 });
  assert.deepEqual([child.status, child.body['maxUses'], child.body['sources']], [201, 3, ['127.0.0.0/8']]);
  const shown = await api.ask('/beamway/v1/self', { bearer: parent });
  assert.deepEqual([shown.body['uses'], shown.body['reservedUses']], [2, 3]);
});

test('a token minted by the room itself obeys the same rules', async () => {
  await assert.rejects(
    issueToken(api.server.issue, systemCaller('test'), {
      project: 'demo',
      environments: ['ace'],
      scopes: ['job:read'],
      lifetimeSeconds: 60,
      classification: 'controlled',
    }),
    /cannot be minted/,
  );
});
