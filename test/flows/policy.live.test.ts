/** Policy on the whole server: who needs a factor for what, what a lockdown leaves, explain at a time, and recorded decisions decided again. */
import assert from 'node:assert/strict';
import { appendFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { recordsSince } from '../../clients/typescript/src/cli/index.ts';
import { createClient } from '../../clients/typescript/src/index.ts';
import { issueSession, type Role } from '../../src/identity/index.ts';
import { policyReplay } from '../../src/policy-verbs.ts';
import { type Bearer, fileScope, startApiServer } from './api-server.ts';

const scope = fileScope();
const api = await startApiServer(scope);
const TOKENS = '/beamway/v1/tokens';
const POWERFUL = { project: 'demo', environments: ['seeker'], scopes: ['job:submit'], lifetimeSeconds: 600 };

async function signedIn(role: Role, factorMinutesAgo?: number): Promise<Bearer> {
  const { token, value } = await issueSession(api.server.issue, {
    subject: 'eve',
    roles: [role],
    lifetimeSeconds: 3600,
    by: 'test',
    methods: ['oidc', 'totp'],
    ...(factorMinutesAgo !== undefined && { factorAt: new Date(Date.now() - factorMinutesAgo * 60_000) }),
  });
  return { id: token.id, value };
}

test('the session that the host issued mints, revokes, locks and lifts without a second factor', async () => {
  const issued = await api.session('administrator');
  const minted = await api.ask(TOKENS, { method: 'POST', bearer: issued, body: POWERFUL });
  assert.equal(minted.status, 201, minted.text);
  const revoked = await api.ask(`${TOKENS}/${minted.body['id']}`, { method: 'DELETE', bearer: issued });
  assert.equal(revoked.status, 200, revoked.text);
});

test('a person who signed in shows a factor first, and is told where', async () => {
  const other = await api.token();
  const ask = { method: 'DELETE', bearer: await signedIn('administrator') };
  const refused = await api.ask(`${TOKENS}/${other.id}`, ask);
  assert.equal(refused.code, 'refused');
  assert.match(refused.text, /staff-acts-need-factor/);
  assert.match(
    refused.text,
    /none was shown in this session: show one at \/beamway\/factor or with `beamway login --step-up`/,
  );
  const mint = { method: 'POST', body: POWERFUL };
  const stale = await api.ask(TOKENS, { ...mint, bearer: await signedIn('administrator', 20) });
  assert.match(stale.text, /powerful-mint-needs-fresh-factor/);
  assert.equal((await api.ask(TOKENS, { ...mint, bearer: await signedIn('administrator', 5) })).status, 201);
  const fresh = await api.ask(`${TOKENS}/${other.id}`, { ...ask, bearer: await signedIn('administrator', 5) });
  assert.equal(fresh.status, 200, fresh.text);
});

test('people see and revoke the tokens they answer for, and nobody else’s', async () => {
  const issued = await api.session('administrator');
  const body = { ...POWERFUL, environments: ['ace'], subject: 'eve' };
  const own = await api.ask(TOKENS, { method: 'POST', bearer: issued, body });
  const eve = await signedIn('member');
  assert.equal((await api.ask(`${TOKENS}/${own.body['id']}`, { bearer: eve })).status, 200);
  assert.equal((await api.ask(`${TOKENS}/${own.body['id']}`, { method: 'DELETE', bearer: eve })).status, 200);
  const other = await api.token();
  assert.match((await api.ask(`${TOKENS}/${other.id}`, { bearer: eve })).text, /token-view-needs-membership/);
  const denied = await api.ask(`${TOKENS}/${other.id}`, { method: 'DELETE', bearer: eve });
  assert.match(denied.text, /revoke-needs-security/);
  const unknown = await api.ask(`${TOKENS}/tok_00000000000000000000`, { bearer: eve });
  assert.equal(unknown.status, 403, 'a stranger does not learn which ids exist');
});

test('explain names the thing by its id and takes the token’s state at the time', async () => {
  const staff = await api.session('operator');
  const worker = await api.token({ scopes: ['job:read', 'job:submit'] });
  const submitted = await api.ask('/beamway/v1/jobs', {
    method: 'POST',
    bearer: worker,
    body: { project: 'demo', environment: 'ace', script: '#!/bin/sh\nexit 0\n' },
  });
  const job = String(submitted.body['id']);
  const explain = async (more: Record<string, string>) => {
    const query = new URLSearchParams({ as: worker.id, resource: job, ...more });
    return (await api.ask(`/beamway/v1/policy/explanation?${query}`, { bearer: staff })).body;
  };
  const read = await explain({ action: 'job:read' });
  assert.equal(read['allowed'], true);
  assert.deepEqual(read['resource'], { project: 'demo', environment: 'ace', enclave: 'open' });
  const cancel = await explain({ action: 'job:cancel' });
  assert.match(JSON.stringify(cancel['rules']), /token-holds-scope.*mint a token/);
  const before = await explain({ action: 'job:read', at: new Date(Date.now() - 3_600_000).toISOString() });
  assert.deepEqual([before['allowed'], before['tokenState']], [false, 'not-yet-valid']);
  const elsewhere = await explain({ action: 'job:read', environment: 'frontier' });
  assert.match(JSON.stringify(elsewhere['rules']), /token-covers-enclave/);
  for (const [name, status] of [
    ['job_nothing', 404],
    ['win_nothing', 404],
    ['noproject', 400],
  ] as const)
    assert.equal((await explain({ action: 'job:read', resource: name }))['status'], status);
});

test('recorded decisions come out the same by the same policies, and a candidate’s flips are found', async () => {
  const security = await api.session('security');
  const client = createClient({ url: api.url, token: security.value });
  const facility = join(api.state, 'facility');
  const same = await policyReplay(facility, recordsSince(client, 3600));
  assert.ok(same.ok, same.text);
  assert.match(same.text, /0 of [1-9]\d* recorded decisions/);
  assert.match(same.text, /reads that were allowed are not in the audit log/);

  const candidate = join(api.state, 'candidate');
  cpSync(facility, candidate, { recursive: true });
  appendFileSync(
    join(candidate, 'policies', 'base.cedar'),
    '\n@id("no-jobs")\n@remedy("wait")\nforbid (principal, action == Action::"job:submit", resource) when { context.lockdown == false };\n',
  );
  // Its own tests expect jobs to be submitted: a set that fails them is not replayed either.
  await assert.rejects(policyReplay(candidate, recordsSince(client, 3600)), /expected allow/);
  cpSync(join(facility, 'policies', 'tests', 'sessions.yaml'), join(candidate, 'policies', 'tests', 'tokens.yaml'));
  cpSync(
    join(facility, 'policies', 'tests', 'sessions.yaml'),
    join(candidate, 'policies', 'tests', 'circumstances.yaml'),
  );
  const other = await policyReplay(candidate, recordsSince(client, 3600));
  assert.equal(other.ok, false);
  assert.match(other.text, /allow -> deny {2}job:submit {2}token of test {2}1x {2}by no-jobs/);
});
