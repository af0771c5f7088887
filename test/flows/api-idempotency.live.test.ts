/** Idempotency-Key on the real server: a repeated request happens once, whoever of the project repeats it and whatever died meanwhile. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sql } from 'kysely';
import { type ApiServer, type Bearer, fileScope, type Reply, startApiServer } from './api-server.ts';

const scope = fileScope();
const JOBS = '/beamway/v1/jobs';
const SPEC = { script: '#!/bin/sh\nexit 0\n', name: 'once' };
let api: ApiServer;
let serial = 0;

before(async () => {
  api = await startApiServer(scope);
});

const newKey = (): string => `key-${++serial}`;
const submit = (bearer: Bearer, key: string, body: object = SPEC): Promise<Reply> =>
  api.ask(JOBS, { method: 'POST', bearer, body, key });
const idOf = (reply: Reply): string => String(reply.body['id']);

async function claimOf(key: string, change: { readonly ageSeconds: number }): Promise<void> {
  const pattern = `%"${key}"]`;
  const result = await sql`update api_idempotency set status = null, body = null,
    claimed_at = now() - make_interval(secs => ${change.ageSeconds}) where claim like ${pattern}`.execute(
    api.database.kysely,
  );
  assert.equal(result.numAffectedRows, 1n);
}

test('a repeated request is answered with the first answer, and says so', async () => {
  const token = await api.token();
  const key = newKey();
  const first = await submit(token, key);
  assert.equal(first.status, 201, first.text);
  assert.equal(first.headers.get('idempotency-replayed'), null);
  const again = await submit(token, key);
  assert.deepEqual([again.status, again.text], [201, first.text]);
  assert.equal(again.headers.get('idempotency-replayed'), 'true');
  assert.notEqual(again.requestId, first.requestId);
});

test('a rotated token of the same project may repeat, one of another project has keys of its own', async () => {
  const key = newKey();
  const old = await api.token();
  const first = await submit(old, key);
  await api.ask('/beamway/v1/self', { method: 'DELETE', bearer: old });
  assert.equal((await submit(old, key)).code, 'token-revoked');
  assert.equal(idOf(await submit(await api.token(), key)), idOf(first));
  const other = await submit(await api.token({ project: 'beamtime' }), key);
  assert.equal(other.status, 201);
  assert.notEqual(idOf(other), idOf(first));
});

test('the same key with another body, or meant for another environment, is refused', async () => {
  const key = newKey();
  await submit(await api.token(), key);
  const other = await submit(await api.token(), key, { ...SPEC, name: 'another' });
  assert.deepEqual([other.status, other.code], [422, 'idempotency-key-reused']);
  // The body is the very same; what the token fills in is not.
  const elsewhere = await submit(await api.token({ environments: ['seeker'] }), key);
  assert.deepEqual([elsewhere.status, elsewhere.code], [422, 'idempotency-key-reused']);
});

test('even when the answer is forgotten, a key of another environment does not hand out its job', async () => {
  const key = newKey();
  const first = await submit(await api.token(), key);
  await sql`delete from api_idempotency where claim like ${`%"${key}"]`}`.execute(api.database.kysely);
  const elsewhere = await submit(await api.token({ environments: ['odo'] }), key);
  assert.equal(elsewhere.code, 'idempotency-key-reused', elsewhere.text);
  assert.equal(idOf(await submit(await api.token(), key)), idOf(first));
});

test('twenty at once with one key make one job; who comes while it is made is told to repeat', async () => {
  const token = await api.token();
  const key = newKey();
  const body = { ...SPEC, name: 'crowd' };
  const replies = await Promise.all(Array.from({ length: 20 }, () => submit(token, key, body)));
  const made = new Set(replies.filter((r) => r.status === 201).map(idOf));
  assert.equal(made.size, 1);
  for (const reply of replies.filter((r) => r.status !== 201)) {
    assert.deepEqual([reply.status, reply.code], [409, 'idempotency-in-progress']);
    assert.equal(reply.headers.get('retry-after'), '1');
  }
  const listed = await api.ask(`${JOBS}?limit=1000`, { bearer: token });
  assert.equal((listed.body['jobs'] as { name: string }[]).filter((j) => j.name === 'crowd').length, 1);
});

test('a request whose replica died is in progress until its lease is over, then is taken over and repeats no effect', async () => {
  const token = await api.token();
  const key = newKey();
  const first = await submit(token, key);
  await claimOf(key, { ageSeconds: 5 });
  assert.equal((await submit(token, key)).code, 'idempotency-in-progress');
  await claimOf(key, { ageSeconds: 31 });
  const taken = await submit(token, key);
  assert.deepEqual([taken.status, idOf(taken)], [201, idOf(first)]);
});

test('a request that failed leaves its key free', async () => {
  const token = await api.token();
  const key = newKey();
  assert.equal((await submit(token, key, { ...SPEC, tier: 'unheard-of' })).code, 'unknown-tier');
  assert.equal((await submit(token, key)).status, 201);
});

test('what is shown once is not shown again: the key of a minted token is refused, and makes no second token', async () => {
  const admin = await api.session('administrator');
  const body = { project: 'demo', environments: ['ace'], scopes: ['job:read'], lifetimeSeconds: 60 };
  const ask = { method: 'POST', bearer: admin, body, key: newKey() };
  const minted = await api.ask('/beamway/v1/tokens', ask);
  assert.equal(minted.status, 201);
  const again = await api.ask('/beamway/v1/tokens', ask);
  assert.deepEqual([again.status, again.code], [409, 'shown-once']);
  const value = String(minted.body['value']);
  const kept = await sql<{ body: string | null }>`select body from api_idempotency`.execute(api.database.kysely);
  assert.ok(kept.rows.every((row) => !(row.body ?? '').includes(value)));
});

test('a key that is no key is named', async () => {
  const token = await api.token();
  for (const key of ['has blanks', 'x'.repeat(201), 'é']) {
    const reply = await submit(token, key);
    assert.equal(reply.code, 'invalid-request');
    assert.match(reply.text, /header:\/Idempotency-Key/);
  }
});
