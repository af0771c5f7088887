/**
 * Every operation of the contract against every bearer that is wrong in some way, and the right one: status, problem, and what the audit log holds
 * afterwards. A new operation without its row in operation-rows.ts fails here.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { OPERATIONS, type Operation, type OperationId } from '../../src/api/contract/index.ts';
import { oauthError } from '../../src/api/oauth-answer.ts';
import { recordsPage, verifyChain } from '../../src/audit/index.ts';
import { ALL_SCOPES, newBearer, type Scope } from '../../src/identity/index.ts';
import type { ProblemCode } from '../../src/problems.ts';
import { type ApiServer, type Ask, type Bearer, fileScope, type Reply, startApiServer } from './api-server.ts';
import { buildWorld, type Kind, ROWS, type World } from './operation-rows.ts';
import { playSlurm } from './played-slurm.fixture.ts';

const UNKNOWN = ['no token', 'malformed', 'unknown', 'expired', 'not yet valid', 'revoked'] as const;
const KNOWN = ['wrong project', 'wrong environment', 'wrong enclave', 'missing scope'] as const;
type Case = (typeof UNKNOWN)[number] | (typeof KNOWN)[number] | 'wrong source' | 'another role' | 'right';

const UNKNOWN_CODES: Readonly<Record<(typeof UNKNOWN)[number], string>> = {
  'no token': 'token-missing',
  malformed: 'token-malformed',
  unknown: 'token-unknown',
  expired: 'token-expired',
  'not yet valid': 'token-not-yet-valid',
  revoked: 'token-revoked',
};

interface Expected {
  readonly status: number;
  readonly code: string;
  /** In the answer, or, where it hides them, in the record. */
  readonly rule?: string;
}

const OK: Expected = { status: 0, code: '' };
const refused = (rule?: string): Expected => ({ status: 403, code: 'refused', ...(rule !== undefined && { rule }) });
/** What a known bearer with one thing wrong is told, by the kind of the operation. */
const TOLD: Readonly<Record<Exclude<Kind, 'open'>, Readonly<Record<(typeof KNOWN)[number], Expected>>>> = {
  own: { 'wrong project': OK, 'wrong environment': OK, 'wrong enclave': OK, 'missing scope': OK },
  thing: {
    'wrong project': { status: 404, code: 'not-found', rule: 'token-covers-project' },
    'wrong environment': refused('token-covers-environment'),
    'wrong enclave': refused('token-covers-enclave'),
    'missing scope': refused('token-holds-scope'),
  },
  list: {
    'wrong project': refused('token-covers-project'),
    'wrong environment': OK,
    'wrong enclave': OK,
    'missing scope': refused('token-holds-scope'),
  },
  'scope-only': {
    'wrong project': OK,
    'wrong environment': OK,
    'wrong enclave': OK,
    'missing scope': refused('token-holds-scope'),
  },
  session: {
    'wrong project': refused('factors-belong-to-sessions'),
    'wrong environment': refused('factors-belong-to-sessions'),
    'wrong enclave': refused('factors-belong-to-sessions'),
    'missing scope': refused('factors-belong-to-sessions'),
  },
  staff: {
    'wrong project': refused(),
    'wrong environment': refused(),
    'wrong enclave': refused(),
    'missing scope': refused(),
  },
  node: {
    'wrong project': refused('only-nodes-sync'),
    'wrong environment': refused('only-nodes-sync'),
    'wrong enclave': refused('only-nodes-sync'),
    'missing scope': refused('only-nodes-sync'),
  },
  agent: {
    'wrong project': refused('only-agents-link'),
    'wrong environment': refused('only-agents-link'),
    'wrong enclave': refused('only-agents-link'),
    'missing scope': refused('only-agents-link'),
  },
};

interface Asked {
  readonly operation: Operation;
  readonly name: Case;
  readonly caller: Bearer | undefined;
  readonly reply: Reply;
  readonly expected: Expected;
}

const scope = fileScope();
let api: ApiServer;
let world: World;
let bearers: Readonly<Record<string, Bearer | string | undefined>>;
const asked: Asked[] = [];

before(async () => {
  api = await startApiServer(scope, { slurmClusters: ['slurm01'], environmentsOn: { ace: 'slurm01' } });
  world = await buildWorld(api, await playSlurm(scope, api, 'slurm01'));
  const revoked = await api.token();
  const admin = await api.session('administrator');
  const ended = await api.ask(`/beamway/v1/tokens/${revoked.id}`, { method: 'DELETE', bearer: admin });
  assert.equal(ended.status, 200);
  bearers = {
    malformed: 'bwp_notatoken',
    unknown: newBearer('token'),
    expired: await api.token({ startsIn: -7200, lifetimeSeconds: 60 }),
    'not yet valid': await api.token({ startsIn: 3600 }),
    revoked,
    administrator: admin,
    member: await api.session('member'),
    node: await api.node('dsn01'),
    'another node': await api.node('dsn99'),
    agent: await api.agent('slurm01'),
    'another agent': await api.agent('slurm99'),
  };
  await mintBeforeLockdown();
});

/** Nothing is minted while the facility is locked down: the bearers that are refused `lockdown.lift` were there before. */
const beforeLockdown = new Map<Case, Bearer | string | undefined>();

async function mintBeforeLockdown(): Promise<void> {
  const lift: Operation = OPERATIONS['lockdown.lift'];
  for (const name of [...KNOWN, 'wrong source'] as const)
    beforeLockdown.set(name, await bearerFor(name, lift, ROWS['lockdown.lift'].kind));
}

/** A new one for each request, as one of the operations revokes it. */
function bearerFor(name: Case, operation: Operation, kind: Kind): Promise<Bearer> | Bearer | string | undefined {
  const early = operation.id === 'lockdown.lift' ? beforeLockdown.get(name) : undefined;
  if (early !== undefined) return early;
  switch (name) {
    case 'wrong project':
      return api.token({ project: 'beamtime' });
    case 'wrong environment':
      return api.token({ environments: ['odo'] });
    case 'wrong enclave':
      return api.token({ environments: ['seeker'] });
    case 'missing scope':
      return api.token({ scopes: ALL_SCOPES.filter((s: Scope) => s !== operation.action) });
    case 'wrong source':
      return api.token({ more: { sources: ['192.0.2.0/24'] } });
    case 'another role':
      return bearers[kind === 'staff' ? 'member' : `another ${kind}`];
    case 'right':
      if (kind === 'staff') return bearers['administrator'];
      if (kind === 'session') return world.own.session;
      return kind === 'node' || kind === 'agent' ? bearers[kind] : api.token();
    default:
      return bearers[name];
  }
}

/** OAuth's endpoints fail in OAuth's words. */
function toldAs(operation: Operation, code: string): string {
  return operation.native === 'oauth' && code !== '' ? oauthError(code as ProblemCode) : code;
}

async function askAs(name: Case, id: OperationId, expected: Expected): Promise<Asked> {
  const operation: Operation = OPERATIONS[id];
  const { kind, parts } = ROWS[id];
  const { id: thing = '', query = {}, body } = parts?.(world) ?? {};
  const bearer = await bearerFor(name, operation, kind);
  if (expected.status === 0 && id.startsWith('stream.')) await world.playNode();
  const form = operation.form ? (body as Record<string, string>) : undefined;
  const ask: Ask = {
    method: operation.method,
    bearer,
    ...(operation.form ? { form } : body !== undefined && { body }),
  };
  const search = new URLSearchParams(query).toString();
  const reply = await api.ask(`${operation.path.replace('{id}', thing)}${search && `?${search}`}`, ask);
  const done: Asked = { operation, name, caller: typeof bearer === 'string' ? undefined : bearer, reply, expected };
  asked.push(done);
  assert.equal(reply.status, expected.status === 0 ? operation.success : expected.status, `${name}: ${reply.text}`);
  assert.equal(reply.code, toldAs(operation, expected.code), `${name}: ${reply.text}`);
  assert.match(reply.requestId, /^req_/);
  if (expected.rule !== undefined)
    assert.equal(reply.text.includes(expected.rule), expected.status === 403, reply.text);
  if (expected.status === 0) operation.response.parse(reply.body);
  return done;
}

describe('every operation', () => {
  test('has its row', () => {
    assert.deepEqual(Object.keys(ROWS).sort(), Object.keys(OPERATIONS).sort());
  });

  for (const id of Object.keys(OPERATIONS) as OperationId[]) {
    const { kind } = ROWS[id];
    test(`${id} (${kind}): each wrong bearer is told what is wrong with it, the right one is served`, async () => {
      for (const name of UNKNOWN) {
        const code = UNKNOWN_CODES[name];
        const { reply } = await askAs(name, id, kind === 'open' ? OK : { status: 401, code });
        if (kind !== 'open') assert.equal(reply.headers.get('www-authenticate'), 'Bearer');
      }
      for (const name of KNOWN) {
        const { reply } = await askAs(name, id, kind === 'open' ? OK : TOLD[kind][name]);
        if (kind === 'list' && !id.startsWith('audit.') && reply.status === 200)
          assert.doesNotMatch(reply.text, /(job|str|run)_[0-9a-z]{20}/, 'nothing of another environment is listed');
      }
      if (kind !== 'open') await askAs('wrong source', id, { status: 403, code: 'token-wrong-source' });
      if (kind === 'staff' || kind === 'node' || kind === 'agent') await askAs('another role', id, refused());
      await askAs('right', id, OK);
    });
  }

  test('afterwards the audit log holds each mutation and each denial, and nothing else', async () => {
    await api.stop(); // writes the tally of unknown callers
    const records = await allRecords();
    for (const { operation, name, caller, reply, expected } of asked) {
      // Events are a use case's own, beside what the pipeline records.
      const own = records.filter((r) => r.requestId === reply.requestId && r.phase !== 'event');
      const about = `${operation.id}, ${name}`;
      const phases = own.map((r) => `${r.phase} ${r.status}`);
      const denied = expected.status !== 0 && expected.status !== 401;
      if (denied) assert.deepEqual(phases, [`denied ${expected.status}`], about);
      else if (expected.status === 0 && operation.audit === 'mutation')
        assert.deepEqual(phases, ['intent null', `outcome ${reply.status}`], about);
      else assert.deepEqual(phases, [], about);
      for (const record of own) {
        assert.deepEqual([record.action, record.callerId], [operation.id, caller?.id], about);
        if (denied) assert.ok(String(JSON.stringify(record.detail['rules'])).includes(expected.rule ?? ''), about);
      }
    }
  });

  test('denials of unknown callers are aggregated, not one of them is lost', async () => {
    const records = (await allRecords()).filter((r) => r.callerKind === 'anonymous');
    for (const [id, { kind }] of Object.entries(ROWS)) {
      const own = records.filter((r) => r.action === id);
      const times = own.reduce((sum, r) => sum + Number(r.detail['times']), 0);
      assert.equal(times, kind === 'open' ? 0 : UNKNOWN.length, id);
      assert.ok(own.length <= 2, `${id}: ${own.length} records`);
    }
  });

  test('and its chain is intact, with no bearer’s value in it', async () => {
    const report = await verifyChain(api.database.kysely);
    assert.ok(report.intact, JSON.stringify(report));
    assert.doesNotMatch(JSON.stringify(await allRecords()), /bw[psn]_[0-9a-z]{50}/);
  });
});

async function allRecords(): ReturnType<typeof recordsPage> {
  return recordsPage(api.database.kysely, { limit: 100_000 }).then((records) => records.toReversed());
}
