// What a token is, asked of the server: RFC 7662 for whoever may know, our own for staff; and forms, which these endpoints alone read.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { recordsPage } from '../../src/audit/index.ts';
import { newBearer } from '../../src/identity/index.ts';
import { type ApiServer, type Bearer, fileScope, type Reply, startApiServer } from './api-server.ts';

const scope = fileScope();
let api: ApiServer;
let staff: Bearer;
let token: Bearer;

before(async () => {
  api = await startApiServer(scope);
  staff = await api.session('operator');
  token = await api.token({ scopes: ['job:read', 'stream:read'], more: { purpose: 'monitoring' } });
});

const ask = (text: string, bearer: Bearer | undefined = staff): Promise<Reply> =>
  api.ask('/oauth/introspect', { method: 'POST', bearer, form: { token: text, token_type_hint: 'access_token' } });
const inactive = async (text: string, bearer?: Bearer): Promise<void> => {
  const reply = await ask(text, bearer);
  assert.deepEqual([reply.status, reply.body], [200, { active: false }]);
};

async function hopOf(bearer: Bearer): Promise<string> {
  const body = { audience: 'internal-services', scopes: ['job:read'] };
  const reply = await api.ask('/beamway/v1/self/hop-tokens', { method: 'POST', bearer, body });
  assert.equal(reply.status, 201, reply.text);
  return String(reply.body['value']);
}

test('staff and the token itself are told what it is', async () => {
  for (const bearer of [staff, token]) {
    const { body, headers } = await ask(token.value, bearer);
    const { exp, iat, nbf, ...rest } = body;
    assert.deepEqual(rest, {
      active: true,
      scope: 'job:read stream:read',
      client_id: 'demo',
      username: 'test',
      token_type: 'Bearer',
      sub: 'test',
      aud: api.server.origin,
      iss: api.server.origin,
      jti: token.id,
      kind: 'token',
      project: 'demo',
      enclave: 'open',
      environments: ['ace'],
      purpose: 'monitoring',
      classification: 'public',
    });
    assert.ok(Number(exp) - Number(nbf) === 3600 && Number(iat) <= Number(exp));
    assert.equal(headers.get('cache-control'), 'no-store');
  }
  assert.equal((await ask(staff.value)).body['kind'], 'session');
});

test('whoever may not see it is told what is told of noise', async () => {
  const stranger = await api.token({ project: 'beamtime' });
  await inactive(token.value, stranger);
  await inactive(token.value, await api.session('member'));
  for (const noise of ['x', newBearer('token'), 'a.b.c', 'bwp_notatoken', 'x'.repeat(16_384)]) await inactive(noise);
});

test('one that has ended, has not begun, is used up or revoked is not active, at once', async () => {
  await inactive((await api.token({ startsIn: -7200, lifetimeSeconds: 60 })).value);
  await inactive((await api.token({ startsIn: 3600 })).value);
  const once = await api.token({ more: { maxUses: 1 } });
  assert.equal((await ask(once.value)).body['active'], true);
  await api.ask('/beamway/v1/jobs', { bearer: once });
  await inactive(once.value);
  const gone = await api.token();
  const hop = await hopOf(gone);
  assert.equal((await ask(hop)).body['active'], true);
  await api.ask('/beamway/v1/self', { method: 'DELETE', bearer: gone });
  await inactive(gone.value);
  await inactive(hop);
});

test('a hop token is told apart from the token it stands for', async () => {
  const { body } = await ask(await hopOf(token), token);
  assert.deepEqual(
    [body['kind'], body['aud'], body['scope'], body['act'], body['sub']],
    ['hop-token', 'internal-services', 'job:read', { sub: token.id }, 'test'],
  );
  assert.notEqual(body['jti'], token.id);
  assert.ok(Number(body['exp']) - Number(body['iat']) === 60);
});

test('staff see the whole row, of a revoked one too, and that a text is none of ours', async () => {
  const full = (text: string) =>
    api.ask('/beamway/v1/tokens/introspection', { method: 'POST', bearer: staff, body: { token: text } });
  const gone = await api.token();
  await api.ask('/beamway/v1/self', { method: 'DELETE', bearer: gone });
  const { body } = await full(gone.value);
  const row = body['token'] as Record<string, unknown>;
  assert.deepEqual([body['active'], row['id'], row['state'], body['hop']], [false, gone.id, 'revoked', null]);
  assert.deepEqual((await full('noise')).body, { active: false, token: null, hop: null });
  const shown = (await full(await hopOf(token))).body;
  assert.equal((shown['hop'] as Record<string, unknown>)['audience'], 'internal-services');
});

test('a bearer that is none is refused as RFC 6750 says', async () => {
  const none = await api.ask('/oauth/introspect', { method: 'POST', form: { token: token.value } });
  assert.deepEqual(
    [none.status, none.body['error'], none.headers.get('www-authenticate')],
    [401, 'invalid_client', 'Bearer'],
  );
  const unknown = await api.ask('/oauth/introspect', {
    method: 'POST',
    bearer: newBearer('token'),
    form: { token: 'x' },
  });
  assert.deepEqual([unknown.status, unknown.body['error']], [401, 'invalid_token']);
});

test('forms are read here, each key once, and nowhere else; JSON is not read here', async () => {
  const post = async (path: string, type: string, body: string): Promise<readonly [number, string]> => {
    const headers = { authorization: `Bearer ${staff.value}`, 'content-type': type };
    const answer = await fetch(`${api.url}${path}`, { method: 'POST', headers, body });
    const { error, code } = (await answer.json()) as { error?: string; code?: string };
    return [answer.status, error ?? code ?? ''];
  };
  const form = 'application/x-www-form-urlencoded';
  const path = '/oauth/introspect';
  assert.deepEqual(await post(path, form, 'token=x&foo=1'), [200, '']);
  assert.deepEqual(await post(path, `${form}; charset=utf-8`, 'token=x'), [200, '']);
  assert.deepEqual(await post(path, form, 'token=x&token=y'), [400, 'invalid_request']);
  assert.deepEqual(await post(path, form, 'token='), [400, 'invalid_request']);
  assert.deepEqual(await post(path, form, ''), [400, 'invalid_request']);
  assert.deepEqual(await post(path, form, `token=${'x'.repeat(70_000)}`), [413, 'invalid_request']);
  assert.deepEqual(await post(path, form, Array.from({ length: 40 }, (_, i) => `k${i}=1`).join('&')), [
    400,
    'invalid_request',
  ]);
  assert.deepEqual(await post(path, 'application/json', '{"token":"x"}'), [415, 'invalid_request']);
  assert.deepEqual(await post(path, 'text/plain', 'token=x'), [415, 'invalid_request']);
  for (const other of ['/beamway/v1/tokens', '/beamway/v1/jobs', '/beamway/v1/lockdown', '/beamway/v1/keys/rotation'])
    assert.deepEqual(await post(other, form, 'reason=x'), [415, 'unsupported-media-type'], other);
});

test('no text that was asked about is in the audit log', async () => {
  const text = JSON.stringify(await recordsPage(api.database.kysely, { limit: 10_000 }));
  assert.doesNotMatch(text, /bw[psn]_[0-9a-z]{50}/);
  assert.doesNotMatch(text, /eyJ[A-Za-z0-9_-]{20}/);
});
