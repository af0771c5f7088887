// Two facilities side by side: software at A shows a hop token of A to B, which trusts A's keys, and gets a project access token of B, bounded by B's table.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { recordsPage } from '../../src/audit/index.ts';
import {
  type ApiServer,
  type Bearer,
  eventually,
  FACILITY,
  fileScope,
  type Reply,
  startApiServer,
} from './api-server.ts';

const B_NAME = 'https://b.example';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const TYPE = 'urn:ietf:params:oauth:token-type:';

const scope = fileScope();
let a: ApiServer;
let b: ApiServer;
let software: Bearer;

before(async () => {
  a = await startApiServer(scope, { federation: `audiences: ['${B_NAME}', elsewhere]\n` });
  b = await startApiServer(scope, {
    federation: `
issuers:
  - name: lightsource
    title: Example Light Source
    issuer: ${a.server.origin}
    jwksUri: ${a.url}/.well-known/jwks.json
    algorithms: [Ed25519]
    typ: beamway-hop+jwt
    audience: ${B_NAME}
    maxLifetimeSeconds: 1800
    grants:
      - project: demo
        environments: [ace]
        scopes: [stream:read, stream:create, job:read]
        who: { claim: project, values: [demo] }
        purpose: monitoring
`,
  });
  software = await a.token({ scopes: ['stream:read', 'job:read'] });
});

async function hop(audience = B_NAME, bearer = software): Promise<string> {
  const reply = await a.ask('/beamway/v1/self/hop-tokens', { method: 'POST', bearer, body: { audience } });
  assert.equal(reply.status, 201, reply.text);
  return String(reply.body['value']);
}

const exchange = (text: string, more: Readonly<Record<string, string>> = {}, at = b): Promise<Reply> =>
  at.ask('/oauth/token', {
    method: 'POST',
    form: { grant_type: EXCHANGE, subject_token: text, subject_token_type: `${TYPE}jwt`, ...more },
  });

test('software of A gets a token at B, which works there, is bounded by B’s table and recorded with where it came from', async () => {
  const reply = await exchange(await hop());
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.headers.get('cache-control'), 'no-store');
  assert.equal(reply.headers.get('pragma'), 'no-cache');
  const { access_token, expires_in, ...rest } = reply.body;
  assert.deepEqual(
    { ...rest, id: '' },
    {
      issued_token_type: `${TYPE}access_token`,
      token_type: 'Bearer',
      scope: 'stream:read stream:create job:read',
      id: '',
      project: 'demo',
      environments: ['ace'],
    },
  );
  assert.ok(Number(expires_in) > 1700 && Number(expires_in) <= 1800);
  const self = await b.ask('/beamway/v1/self', { bearer: String(access_token) });
  assert.deepEqual(
    [self.body['subject'], self.body['createdBy'], self.body['purpose'], self.body['kind']],
    ['test@lightsource', 'issuer:lightsource', 'monitoring', 'token'],
  );
  assert.equal((await b.ask('/beamway/v1/streams', { bearer: String(access_token) })).status, 200);
  assert.equal((await a.ask('/beamway/v1/self', { bearer: String(access_token) })).code, 'token-unknown');
  const [record] = await recordsPage(b.database.kysely, { limit: 10 }).then((all) =>
    all.filter((r) => r.requestId === reply.requestId),
  );
  assert.equal(record?.action, 'token.exchanged');
  assert.equal(record?.subject, 'test@lightsource');
  assert.deepEqual([record?.detail['issuer'], record?.detail['named']], [a.server.origin, 'test']);
});

test('a hop token is exchanged once, also when it is sent twice at the same time', async () => {
  const text = await hop();
  const replies = await Promise.all([exchange(text), exchange(text), exchange(text)]);
  assert.deepEqual(replies.map((r) => r.status).sort(), [200, 400, 400]);
  const again = await exchange(text);
  assert.deepEqual([again.status, again.body['error']], [400, 'invalid_request']);
  assert.match(String(again.body['error_description']), /exchanged before/);
});

test('one that was refused for what was asked may ask for less', async () => {
  const text = await hop();
  const wider = await exchange(text, { scope: 'job:submit' });
  assert.deepEqual([wider.status, wider.body['error']], [400, 'invalid_scope']);
  const elsewhere = await exchange(text, { resource: 'urn:beamway:environment:odo' });
  assert.deepEqual([elsewhere.status, elsewhere.body['error']], [400, 'invalid_target']);
  const narrow = await exchange(text, {
    scope: 'job:read',
    audience: 'demo',
    resource: 'urn:beamway:environment:ace',
    lifetime_seconds: '60',
  });
  assert.equal(narrow.status, 200, narrow.text);
  assert.equal(narrow.body['scope'], 'job:read');
  assert.ok(Number(narrow.body['expires_in']) <= 60);
});

test('what is not from A for B, or not open to its person, is refused in OAuth’s words and recorded with issuer and subject', async () => {
  const foreignProject = await a.token({ project: 'beamtime', scopes: ['job:read'] });
  const cases: readonly (readonly [string, Promise<Reply>, string, string])[] = [
    ['for another audience', exchange(await hop('elsewhere')), 'invalid_request', 'identity-refused'],
    ['a person whom no grant names', exchange(await hop(B_NAME, foreignProject)), 'invalid_target', 'target-refused'],
    ['noise', exchange('a.b.c'), 'invalid_request', 'identity-refused'],
    ['our own bearer as a JWT', exchange(software.value), 'invalid_request', 'identity-refused'],
    [
      'a bearer of A as one of B',
      exchange(software.value, { subject_token_type: `${TYPE}access_token` }),
      'invalid_request',
      'token-unknown',
    ],
  ];
  for (const [what, asked, error, code] of cases) {
    const reply = await asked;
    assert.deepEqual([reply.status, reply.body['error']], [400, error], what);
    const records = await recordsPage(b.database.kysely, { limit: 50 });
    const record = records.find((r) => r.requestId === reply.requestId);
    assert.deepEqual([record?.action, record?.detail['code']], ['token.exchange-refused', code], what);
    if (what === 'for another audience')
      assert.deepEqual(
        [record?.detail['issuer'], record?.subject, record?.detail['verified']],
        [a.server.origin, 'test', false],
      );
    if (what === 'a person whom no grant names') assert.equal(record?.detail['verified'], true);
  }
  const [head, payload] = (await hop()).split('.');
  const forged = await exchange(`${head}.${payload}.${'A'.repeat(86)}`);
  assert.deepEqual([forged.status, forged.body['error']], [400, 'invalid_request']);
});

test('a request that is no token exchange is told so', async () => {
  const text = await hop();
  const wrong: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{ grant_type: 'client_credentials' }, 'unsupported_grant_type'],
    [{ grant_type: '' }, 'invalid_request'],
    [{ subject_token: '' }, 'invalid_request'],
    [{ subject_token_type: `${TYPE}saml2` }, 'invalid_request'],
    [{ requested_token_type: `${TYPE}refresh_token` }, 'invalid_request'],
    [{ actor_token: 'x', actor_token_type: `${TYPE}jwt` }, 'invalid_request'],
    [{ resource: 'https://b.example/ace' }, 'invalid_target'],
    [{ lifetime_seconds: '0' }, 'invalid_request'],
  ];
  for (const [more, error] of wrong) {
    const reply = await exchange(text, more);
    assert.deepEqual([reply.status, reply.body['error']], [400, error], JSON.stringify(more));
  }
});

test('a token of B itself is exchanged for a narrower child, as if it had delegated', async () => {
  const parent = await b.token({ scopes: ['job:read', 'token:delegate'] });
  const own = { subject_token_type: `${TYPE}access_token` };
  const child = await exchange(parent.value, { ...own, scope: 'job:read', lifetime_seconds: '120' });
  assert.equal(child.status, 200, child.text);
  const bearer = String(child.body['access_token']);
  const self = await b.ask('/beamway/v1/self', { bearer });
  assert.deepEqual([self.body['parent'], self.body['scopes']], [parent.id, ['job:read']]);
  const wider = await exchange(parent.value, { ...own, scope: 'job:submit' });
  assert.equal(wider.body['error'], 'invalid_scope');
  assert.equal((await exchange(parent.value, { ...own, audience: 'beamtime' })).body['error'], 'invalid_target');
  const plain = await b.token({ scopes: ['job:read'] });
  const refused = await exchange(plain.value, own);
  assert.deepEqual([refused.status, refused.body['error']], [403, 'access_denied']);
  assert.match(String(refused.body['error_description']), /token:delegate/);
  const session = await b.session('administrator');
  assert.equal((await exchange(session.value, own)).body['error'], 'invalid_request');
  await b.ask(`/beamway/v1/tokens/${parent.id}`, { method: 'DELETE', bearer: session });
  assert.equal((await b.ask('/beamway/v1/self', { bearer })).code, 'token-revoked');
});

/** At B, while `work` runs: the environment ace has the rule `text`. */
async function withOverlay(text: string, work: () => Promise<void>): Promise<void> {
  const file = join(b.state, 'facility', 'policies', 'environments', 'ace.cedar');
  writeFileSync(file, text);
  await b.server.reloadPolicy();
  try {
    await work();
  } finally {
    rmSync(file);
    await b.server.reloadPolicy();
  }
}

const recordOf = async (reply: Reply, action: string, at = b) => {
  const records = await recordsPage(at.database.kysely, { limit: 100 });
  return records.find((r) => r.requestId === reply.requestId && r.action === action);
};
const OWN = { subject_token_type: `${TYPE}access_token` };

test('what an environment forbids of a delegation it forbids of an exchange of our own token, and the question is recorded', async () => {
  const parent = await b.token({ scopes: ['job:read', 'job:submit', 'token:delegate'] });
  const rule = `@id("ace-delegates-no-submission")
@remedy("ask for less")
forbid (principal, action == Action::"token:delegate", resource)
when {
  resource has scopes && resource.scopes.contains("job:submit") &&
  resource has enclave && resource.enclave == "open" && resource has classification && resource.classification == "public"
};`;
  await withOverlay(rule, async () => {
    const refused = await exchange(parent.value, OWN);
    assert.deepEqual([refused.status, refused.body['error']], [403, 'access_denied']);
    const record = await recordOf(refused, 'token.exchange-refused');
    assert.match(JSON.stringify(record?.detail['rules']), /ace-delegates-no-submission/);
    assert.match(JSON.stringify(record?.detail['question']), /"allowed":false/);
    const body = { scopes: ['job:submit'], lifetimeSeconds: 60 };
    const delegated = await b.ask('/beamway/v1/self/children', { method: 'POST', bearer: parent, body });
    assert.equal(delegated.code, 'refused');
    assert.equal((await exchange(parent.value, { ...OWN, scope: 'job:read' })).status, 200);
  });
});

test('an exchange of our own token spends a use of it and is flagged where the token is for something else', async () => {
  const parent = await b.token({ scopes: ['job:read', 'token:delegate'], more: { purpose: 'monitoring' } });
  const reply = await exchange(parent.value, { ...OWN, scope: 'job:read' });
  assert.equal(reply.status, 200, reply.text);
  assert.equal((await recordOf(reply, 'token.exchange'))?.detail['outsidePurpose'], true);
  const flagged = await eventually('the flag is written', async () => {
    const { body } = await b.ask('/beamway/v1/self', { bearer: parent });
    return body['outsidePurpose'] === null ? undefined : body['outsidePurpose'];
  });
  assert.equal((flagged as { action: string }).action, 'token:delegate');
  const once = await b.token({ scopes: ['job:read', 'token:delegate'], more: { maxUses: 1 } });
  assert.notEqual((await exchange(once.value, { ...OWN, scope: 'job:read' })).status, 200);
  const again = await exchange(once.value, { ...OWN, scope: 'job:read' });
  assert.match(String(again.body['error_description']), /no use left/);
});

test('an exchange of our own token draws on the limits of its token and of its environment', async () => {
  const limits = readFileSync(join(FACILITY, 'limits.yaml'), 'utf8');
  for (const [rate, tokens] of [
    ['mint: { perSecond: 10, burst: 60 }', 1],
    ['mint: { perSecond: 100, burst: 600 }', 2],
  ] as const) {
    assert.ok(limits.includes(rate));
    const c = await startApiServer(scope, { limits: limits.replace(rate, 'mint: { perSecond: 0.001, burst: 2 }') });
    const parents = await Promise.all(Array.from({ length: tokens }, () => c.token()));
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) {
      const reply = await exchange(parents[i % tokens]?.value ?? '', { ...OWN, scope: 'job:read' }, c);
      statuses.push(reply.status);
    }
    assert.deepEqual(statuses, [200, 200, 429], rate);
    await c.stop();
  }
});

test('a facility forbids by a rule what another issuer’s person may have, and the subject token stays good', async () => {
  const text = await hop();
  const rule = `@id("ace-gives-lightsource-no-streams")
@remedy("ask for job:read alone")
forbid (principal is ForeignIdentity, action == Action::"token:exchange", resource)
when { principal.issuer == "lightsource" && resource has scopes && resource.scopes.contains("stream:create") };`;
  await withOverlay(rule, async () => {
    const refused = await exchange(text);
    assert.deepEqual([refused.status, refused.body['error']], [403, 'access_denied']);
    const record = await recordOf(refused, 'token.exchange-refused');
    assert.match(JSON.stringify(record?.detail['rules']), /ace-gives-lightsource-no-streams/);
    const question = record?.detail['question'] as { principal: string; attributes: object; allowed: boolean };
    assert.deepEqual([question.principal, question.allowed], ['ForeignIdentity', false]);
    assert.deepEqual(question.attributes, { issuer: 'lightsource', subject: 'test@lightsource' });
    const narrow = await exchange(text, { scope: 'job:read' });
    assert.equal(narrow.status, 200, narrow.text);
    const allowed = (await recordOf(narrow, 'token.exchanged'))?.detail['question'] as { allowed: boolean };
    assert.equal(allowed.allowed, true);
  });
});

test('an ordinary OAuth client finds its way by the metadata, and anybody can verify a hop token by the key set', async () => {
  const configuration = await oidc.discovery(new URL(b.server.origin), 'software', undefined, oidc.None(), {
    algorithm: 'oauth2',
    execute: [oidc.allowInsecureRequests],
  });
  const tokens = await oidc.genericGrantRequest(configuration, EXCHANGE, {
    subject_token: await hop(),
    subject_token_type: `${TYPE}jwt`,
    scope: 'job:read',
  });
  assert.equal(tokens.scope, 'job:read');
  const answer = await fetch(`${a.url}/.well-known/jwks.json`);
  assert.equal(answer.headers.get('cache-control'), 'public, max-age=300');
  assert.doesNotMatch(await answer.text(), /"d"/);
  const { payload } = await jwtVerify(await hop(), createRemoteJWKSet(new URL(`${a.url}/.well-known/jwks.json`)), {
    algorithms: ['Ed25519'],
    issuer: a.server.origin,
    audience: B_NAME,
    typ: 'beamway-hop+jwt',
  });
  assert.deepEqual(payload['act'], { sub: software.id });
});

test('locked down, B gives nobody a token, and A shows none on', async () => {
  const text = await hop();
  const parent = await b.token({ scopes: ['job:read', 'token:delegate'] });
  for (const api of [a, b]) {
    const set = { method: 'POST', bearer: await api.session('administrator'), body: { reason: 'a drill' } };
    assert.equal((await api.ask('/beamway/v1/lockdown', set)).status, 200);
  }
  const reply = await exchange(text);
  assert.deepEqual([reply.status, reply.body['error']], [403, 'access_denied']);
  const record = await recordOf(reply, 'token.exchange-refused');
  assert.match(JSON.stringify(record?.detail['rules']), /lockdown-shuts/);
  const own = await exchange(parent.value, { subject_token_type: `${TYPE}access_token` });
  assert.deepEqual([own.status, own.body['error']], [403, 'access_denied']);
  const shown = { method: 'POST', bearer: software, body: { audience: B_NAME } };
  assert.equal((await a.ask('/beamway/v1/self/hop-tokens', shown)).code, 'refused');
  for (const api of [a, b]) {
    const lift = { method: 'DELETE', bearer: await api.session('administrator') };
    assert.equal((await api.ask('/beamway/v1/lockdown?reason=over', lift)).status, 200);
  }
  assert.equal((await exchange(text)).status, 200, 'it was not used up');
});

test('whoever fails sixty times in a row waits, before anything is checked', async () => {
  const statuses = new Set<number>();
  await eventually('the limit is reached', async () => {
    const reply = await exchange('a.b.c');
    statuses.add(reply.status);
    return reply.status === 429 ? reply : undefined;
  });
  assert.deepEqual([...statuses], [400, 429]);
  const reply = await exchange(await hop());
  assert.deepEqual([reply.status, reply.body['error']], [429, 'temporarily_unavailable']);
  assert.ok(Number(reply.headers.get('retry-after')) >= 1);
});

test('what succeeds costs an address nothing, and of many failures at once no more get through than one after the other', async () => {
  const parent = await a.token({ scopes: ['job:read', 'token:delegate'] });
  for (let i = 0; i < 65; i++) {
    const reply = await exchange(parent.value, { ...OWN, scope: 'job:read' }, a);
    assert.equal(reply.status, 200, reply.text);
  }
  const startedMs = performance.now();
  const replies = await Promise.all(Array.from({ length: 120 }, () => exchange('a.b.c', {}, a)));
  const most = 60 + Math.ceil((performance.now() - startedMs) / 10_000);
  const failed = replies.filter((r) => r.status === 400).length;
  assert.ok(failed <= most, `${failed} of at most ${most}`);
  assert.ok(replies.some((r) => /failed exchanges/.test(r.text)));
});

test('neither audit log holds a token', async () => {
  for (const api of [a, b]) {
    const text = JSON.stringify(await recordsPage(api.database.kysely, { limit: 10_000 }));
    assert.doesNotMatch(text, /bw[psn]_[0-9a-z]{50}/);
    assert.doesNotMatch(text, /eyJ[A-Za-z0-9_-]{20}/);
  }
});
