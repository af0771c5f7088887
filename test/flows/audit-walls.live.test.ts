/** Who may read what of the audit log: a project's bearers their own project's records, by list, number and trace; staff all; a record that cannot be written stops the act. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sql } from 'kysely';
import { openAuditLog } from '../../src/audit/index.ts';
import { type ApiServer, asOwner, type Bearer, fileScope, startApiServer } from './api-server.ts';

const scope = fileScope();
let api: ApiServer;
let demo: Bearer;
let beamtime: Bearer;
let theirs: { readonly requestId: string; readonly sequence: number; readonly job: string };

interface RecordBody {
  readonly sequence: number;
  readonly project: string | null;
  readonly requestId: string;
  readonly action: string;
}

const recordsOf = (reply: { readonly body: Record<string, unknown> }) => reply.body['records'] as readonly RecordBody[];

before(async () => {
  api = await startApiServer(scope);
  demo = await api.token();
  beamtime = await api.token({ project: 'beamtime' });
  const made = await api.ask('/beamway/v1/jobs', {
    method: 'POST',
    bearer: beamtime,
    body: { script: '#!/bin/sh\nexit 0\n' },
  });
  assert.equal(made.status, 201, made.text);
  const own = await api.ask(`/beamway/v1/audit/records?requestId=${made.requestId}`, { bearer: beamtime });
  const [record] = recordsOf(own);
  theirs = { requestId: made.requestId, sequence: record?.sequence ?? 0, job: String(made.body['id']) };
  assert.ok(theirs.sequence > 0, own.text);
});

test('a token sees nothing of another project: not in a list, not by number, not in a trace', async () => {
  for (const query of ['', `?requestId=${theirs.requestId}`, '?after=0', `?caller=${beamtime.id}`]) {
    const reply = await api.ask(`/beamway/v1/audit/records${query}`, { bearer: demo });
    assert.equal(reply.status, 200, reply.text);
    assert.ok(
      recordsOf(reply).every((r) => r.project === 'demo'),
      query,
    );
  }
  assert.equal((await api.ask(`/beamway/v1/audit/records/${theirs.sequence}`, { bearer: demo })).code, 'not-found');
  assert.equal((await api.ask('/beamway/v1/audit/records/1', { bearer: demo })).code, 'not-found', 'of no project');
  for (const id of [theirs.requestId, theirs.job, beamtime.id]) {
    const reply = await api.ask(`/beamway/v1/audit/traces/${id}`, { bearer: demo });
    assert.deepEqual(reply.body, { records: [], cut: false }, id);
    assert.equal((await api.ask(`/beamway/v1/audit/traces/${id}?project=beamtime`, { bearer: demo })).status, 403);
  }
  const asked = `/beamway/v1/audit/records/${theirs.sequence}?project=beamtime`;
  assert.equal((await api.ask(asked, { bearer: demo })).status, 403);
  assert.equal((await api.ask(asked, { bearer: beamtime })).status, 200);
});

test('a person who is no member sees nothing, staff see everything', async () => {
  const member = await api.session('member');
  for (const path of ['records', `records/${theirs.sequence}`, `traces/${theirs.job}`])
    for (const query of ['', '?project=beamtime'])
      assert.equal((await api.ask(`/beamway/v1/audit/${path}${query}`, { bearer: member })).status, 403, path + query);
  for (const role of ['administrator', 'security', 'operator'] as const) {
    const staff = await api.session(role);
    const trace = await api.ask(`/beamway/v1/audit/traces/${theirs.job}`, { bearer: staff });
    assert.ok(recordsOf(trace).some((r) => r.requestId === theirs.requestId));
    assert.equal((await api.ask('/beamway/v1/audit/records/1', { bearer: staff })).status, 200);
    const key = await api.ask('/beamway/v1/audit/key', { bearer: staff });
    assert.match(String(key.body['publicKey']), /^-----BEGIN PUBLIC KEY-----/);
    assert.doesNotMatch(key.text, /PRIVATE/);
  }
});

test('pages follow each other without a gap, both ways', async () => {
  const staff = await api.session('security');
  const walk = async (first: string, next: (n: number) => string): Promise<number[]> => {
    const seen: number[] = [];
    for (let query: string | undefined = first; query !== undefined; ) {
      const reply = await api.ask(`/beamway/v1/audit/records?limit=3&${query}`, { bearer: staff });
      seen.push(...recordsOf(reply).map((r) => r.sequence));
      const n = reply.body['next'];
      query = typeof n === 'number' ? next(n) : undefined;
    }
    return seen;
  };
  const up = await walk('after=0', (n) => `after=${n}`);
  assert.deepEqual(
    up,
    up.map((_, i) => i + 1),
  );
  assert.deepEqual(await walk('', (n) => `before=${n}`), up.toReversed());
});

test('what Beamway does by itself is recorded as the system’s act, with where it came from', async () => {
  const staff = await api.session('security');
  for (const action of ['policy.loaded', 'node.registered']) {
    const reply = await api.ask(`/beamway/v1/audit/records?action=${action}`, { bearer: staff });
    const records = recordsOf(reply) as readonly (RecordBody & { readonly callerKind: string })[];
    assert.ok(records.length > 0 && records.every((r) => r.callerKind === 'system'), action);
  }
});

test('a mutation whose record cannot be written is refused, and nothing is done', async () => {
  const list = async (): Promise<unknown> => (await api.ask('/beamway/v1/jobs', { bearer: demo })).body['jobs'];
  const before_ = await list();
  await asOwner(
    api,
    async (owner) => void (await sql`revoke insert on audit_record from beamway`.execute(owner.kysely)),
  );
  const refused = await api.ask('/beamway/v1/jobs', {
    method: 'POST',
    bearer: demo,
    body: { script: '#!/bin/sh\nexit 0\n' },
  });
  assert.deepEqual([refused.status, refused.code], [503, 'unavailable']);
  assert.deepEqual(await list(), before_);
  await asOwner(api, async (owner) => void (await sql`grant insert on audit_record to beamway`.execute(owner.kysely)));
  await openAuditLog(api.database.kysely).flush();
  const done = await api.ask('/beamway/v1/jobs', {
    method: 'POST',
    bearer: demo,
    body: { script: '#!/bin/sh\nexit 0\n' },
  });
  assert.equal(done.status, 201, done.text);
});
