/** The real server as a process among others: limits, revocation, an audit log that cannot be written, draining with work in flight. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { askServer, asOwner, eventually, startApiServer } from './api-server.ts';
import { buildWorld } from './operation-rows.ts';

const JOBS = '/beamway/v1/jobs';
const SPEC = { script: '#!/bin/sh\nexit 0\n' };

test('who is too fast is told when to come back, and is served again then', async (t) => {
  const api = await startApiServer(t, { limits: 'token: { read: { perSecond: 5, burst: 5 } }\n' });
  const [fast, calm] = [await api.token(), await api.token()];
  const replies = await Promise.all(Array.from({ length: 12 }, () => api.ask('/beamway/v1/self', { bearer: fast })));
  const refused = replies.filter((r) => r.status === 429);
  assert.ok(refused.length >= 1 && refused.length <= 7, `${refused.length} of 12`);
  for (const reply of refused) {
    assert.equal(reply.code, 'rate-limited');
    assert.match(reply.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
  }
  assert.equal((await api.ask('/beamway/v1/self', { bearer: calm })).status, 200, 'another token has its own share');
  await eventually('to be served again', async () => {
    const again = await api.ask('/beamway/v1/self', { bearer: fast });
    return again.status === 200 ? again : undefined;
  });
});

test('a token revoked by one request is refused to the next', async (t) => {
  const api = await startApiServer(t);
  const token = await api.token();
  assert.equal((await api.ask('/beamway/v1/self', { bearer: token })).status, 200);
  const revoked = await api.ask('/beamway/v1/self', { method: 'DELETE', bearer: token });
  assert.equal(revoked.body['state'], 'revoked');
  assert.equal((await api.ask('/beamway/v1/self', { bearer: token })).code, 'token-revoked');
});

test('while the audit log cannot be written mutations are refused and do nothing, and reads go on', async (t) => {
  const api = await startApiServer(t);
  const token = await api.token();
  await asOwner(api, async (owner) => {
    await sql`revoke insert on audit_record from beamway`.execute(owner.kysely);
  });
  const reply = await api.ask(JOBS, { method: 'POST', bearer: token, body: SPEC, key: 'k' });
  assert.deepEqual([reply.status, reply.code], [503, 'unavailable']);
  assert.doesNotMatch(reply.text, /audit_record|permission/, 'the cause stays with us');
  const listed = await api.ask(JOBS, { bearer: token });
  assert.deepEqual([listed.status, listed.body['jobs']], [200, []]);
  await asOwner(api, async (owner) => {
    await sql`grant insert on audit_record to beamway`.execute(owner.kysely);
  });
  assert.equal((await api.ask(JOBS, { method: 'POST', bearer: token, body: SPEC, key: 'k' })).status, 201);
});

test('draining answers long polls and what is in flight at once, then refuses connections', async (t) => {
  const api = await startApiServer(t);
  const world = await buildWorld(api);
  const agent = await api.node('dsn01');
  const known = await api.ask('/beamway/v1/nodes/dsn01/sync', {
    method: 'POST',
    bearer: agent,
    body: { instance: 'i', knownVersion: -1, appliedVersion: 0, claimUrl: '', waitMs: 0, streams: [], events: [] },
  });
  const version = Number(known.body['version']);
  const poll = api.ask('/beamway/v1/nodes/dsn01/sync', {
    method: 'POST',
    bearer: agent,
    body: {
      instance: 'i',
      knownVersion: version,
      appliedVersion: version,
      claimUrl: '',
      waitMs: 30_000,
      streams: [],
      events: [],
    },
  });
  const jobs = Array.from({ length: 10 }, () => api.ask(JOBS, { method: 'POST', bearer: world.owner, body: SPEC }));
  await Promise.race(jobs);
  await api.stop();
  const answered = await poll;
  assert.deepEqual([answered.status, answered.body['leases']], [200, null]);
  for (const job of await Promise.all(jobs)) assert.ok(job.status === 201 || job.code === 'draining', job.text);
  await assert.rejects(askServer(api.url, '/beamway/v1/health'), /fetch failed/);
});
