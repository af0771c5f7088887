/** What people send by mistake or on purpose, to the real server: each is told what is wrong, and nothing makes it fail on its own side. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { OPERATIONS, type Operation, type OperationId } from '../../src/api/contract/index.ts';
import { type ApiServer, type Bearer, fileScope, startApiServer } from './api-server.ts';
import { buildWorld, ROWS, type World } from './operation-rows.ts';

const scope = fileScope();
const SCRIPT = '#!/bin/sh\nexit 0\n';
const JOBS = '/beamway/v1/jobs';
let api: ApiServer;
let world: World;
let admin: Bearer;

before(async () => {
  api = await startApiServer(scope);
  world = await buildWorld(api);
  admin = await api.session('administrator');
});

const submit = (bearer: Bearer, body: unknown) => api.ask(JOBS, { method: 'POST', bearer, body });

test('unknown fields are named, with every other fault, and no job is made', async () => {
  const token = await api.token();
  const reply = await submit(token, {
    name: 'nobody',
    script: SCRIPT,
    nodez: 1,
    nodes: 0,
    streams: [{ stream: 'x', nam: 'y' }],
  });
  assert.equal(reply.code, 'invalid-request');
  const errors = reply.body['errors'] as { pointer: string }[];
  const pointers = errors.map((e) => e.pointer).sort();
  assert.deepEqual(pointers, ['#/nodes', '#/nodez', '#/streams/0/nam', '#/streams/0/name', '#/streams/0/role']);
  const listed = await api.ask(JOBS, { bearer: await api.token() });
  assert.doesNotMatch(listed.text, /nobody/);
});

test('what an environment or a project does not allow is said with what it does', async () => {
  const token = await api.token({ project: 'beamtime' });
  const tier = await submit(token, { script: SCRIPT, tier: 'urgent' });
  assert.equal(tier.code, 'unknown-tier');
  assert.match(tier.text, /one of batch, interactive/);
  const large = await submit(token, { script: SCRIPT, nodes: 4, slotsPerNode: 5, timeLimitSeconds: 90_000 });
  assert.equal(large.code, 'parameter-out-of-bounds');
  const pointers = (large.body['errors'] as { pointer: string }[]).map((e) => e.pointer).sort();
  assert.deepEqual(pointers, ['#/slotsPerNode', '#/timeLimitSeconds']);
  const never = await submit(token, { script: SCRIPT, nodes: 1, slotsPerNode: 16 });
  assert.equal(never.code, 'job-too-large');
});

test('a template parameter out of bounds, of the wrong kind or unknown is named with its bound', async () => {
  await world.playNode();
  const parameters = { bufferBytes: 1, lifetimeSeconds: 'long', colour: 'red', externalAddresses: ['10.0.0.0/99'] };
  const body = { name: 'x', template: 'lcls-results', parameters };
  const reply = await api.ask('/beamway/v1/streams', { method: 'POST', bearer: await api.token(), body });
  assert.equal(reply.code, 'parameter-out-of-bounds');
  const errors = reply.body['errors'] as { pointer: string; detail: string }[];
  const named = errors.map((e) => e.pointer.split('/')[2]);
  assert.deepEqual(new Set(named), new Set(['bufferBytes', 'lifetimeSeconds', 'colour', 'externalAddresses']));
  assert.match(reply.text, /65536/);
});

test('a workflow with bad YAML is told the line and the column', async () => {
  const workflow = 'apiVersion: beamway/v1\nkind: Workflow\nname: x\nstepz:\n  one: {}\n';
  const ask = { method: 'POST', bearer: await api.token() };
  const reply = await api.ask('/beamway/v1/runs', { ...ask, body: { workflow } });
  assert.equal(reply.code, 'invalid-request');
  assert.match(reply.text, /line 4, column 1: unknown field stepz/);
  const bomb = `a: &a [x]\n${'b: [*a, *a]\n'.repeat(2)}`;
  for (const text of ['{', 'x: *nowhere', bomb, '['.repeat(50_000)]) {
    const bad = await api.ask('/beamway/v1/runs', { ...ask, body: { workflow: text } });
    assert.equal(bad.code, 'invalid-request', bad.text);
  }
});

test('two enclaves, an unknown scope and too long a life are all told at once when a token is minted', async () => {
  const body = {
    project: 'demo',
    environments: ['ace', 'seeker'],
    scopes: ['job:read', 'job:destroy'],
    lifetimeSeconds: 73 * 3600,
  };
  const reply = await api.ask('/beamway/v1/tokens', { method: 'POST', bearer: admin, body });
  assert.equal(reply.code, 'invalid-request');
  const pointers = (reply.body['errors'] as { pointer: string }[]).map((e) => e.pointer).sort();
  assert.deepEqual(pointers, ['#/environments', '#/lifetimeSeconds', '#/scopes/1']);
  assert.match(reply.text, /ace is open, seeker is moderate/);
});

test('a list shows a token nothing outside its own environments, and says so when asked for them', async () => {
  const seeker = await api.token({ environments: ['seeker'] });
  const own = await submit(seeker, { script: SCRIPT });
  assert.equal(own.status, 201, own.text);
  const ids = async (bearer: Bearer, query = ''): Promise<string[]> => {
    const reply = await api.ask(`${JOBS}${query}`, { bearer });
    assert.equal(reply.status, 200, reply.text);
    return (reply.body['jobs'] as { id: string; environment: string }[]).map((j) => `${j.environment} ${j.id}`);
  };
  assert.deepEqual(await ids(seeker), [`seeker ${String(own.body['id'])}`]);
  assert.ok((await ids(world.owner)).every((j) => j.startsWith('ace ')));
  assert.ok((await ids(admin, '?project=demo')).length >= 2);
  const asked = await api.ask(`${JOBS}?environment=seeker`, { bearer: world.owner });
  assert.equal(asked.code, 'refused');
  assert.match(asked.text, /token-covers-enclave/);
});

test('whatever text stands where, the answer is never that something failed on our side', async () => {
  const nasty = fc.constantFrom(
    '\0',
    'a\0b',
    '\ud800',
    '%00',
    "'; drop table x;--",
    '..',
    '𝄞',
    '{}',
    '-1',
    '1e999',
    'x'.repeat(300),
  );
  const ids = (Object.keys(OPERATIONS) as OperationId[]).filter((id) => !['self.revoke', 'token.revoke'].includes(id));
  const token = await api.token();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...ids), nasty, fc.nat(), async (id, text, pick) => {
      const operation: Operation = OPERATIONS[id];
      const { kind, parts } = ROWS[id];
      const given = parts?.(world) ?? {};
      const names = Object.keys(operation.query.shape);
      const name = names[pick % Math.max(names.length, 1)];
      const query = name === undefined || pick % 3 === 0 ? '' : `?${name}=${encodeURIComponent(text.toWellFormed())}`;
      const thing = pick % 2 === 0 ? encodeURIComponent(text.toWellFormed()) : (given.id ?? '');
      const body = given.body === undefined ? undefined : spoil(given.body as Record<string, unknown>, text, pick);
      const bearer = kind === 'staff' ? admin : token;
      const ask = { method: operation.method, bearer, ...(body !== undefined && { body }) };
      const reply = await api.ask(`${operation.path.replace('{id}', thing)}${query}`, ask);
      assert.ok(reply.status < 500 || ['unavailable', 'no-capacity'].includes(reply.code), `${id} ${reply.text}`);
      assert.notEqual(reply.code, 'unavailable', `${id} ${reply.text}`);
    }),
    { numRuns: 400, endOnFailure: true },
  );
});

/** One field of the body gets the text, as itself, in a list, or as a key. */
function spoil(body: Record<string, unknown>, text: string, pick: number): Record<string, unknown> {
  const names = Object.keys(body);
  const name = names[pick % names.length] ?? '';
  const value = [text, [text], { [text]: text }][pick % 3];
  return { ...body, [name]: value };
}
