/** `beamway key …` and `beamway token hop|inspect|exchange` against two live servers: what a person at a terminal does to bring software from one to the other. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { promisify } from 'node:util';
import { type ApiServer, type Bearer, fileScope, startApiServer } from './api-server.ts';

const LAUNCHER = join(import.meta.dirname, '../../beamway');
const scope = fileScope();
const run = promisify(execFile);
let home = '';
let here: ApiServer;
let there: ApiServer;

before(async () => {
  home = mkdtempSync(join(tmpdir(), 'beamway-keys-cli-'));
  scope.after(async () => rmSync(home, { recursive: true }));
  here = await startApiServer(scope, { federation: 'audiences: [there]\n' });
  there = await startApiServer(scope, {
    federation: `
issuers:
  - name: here
    issuer: ${here.server.origin}
    jwksUri: ${here.url}/.well-known/jwks.json
    algorithms: [Ed25519]
    typ: beamway-hop+jwt
    audience: there
    grants: [{ project: demo, environments: [ace], scopes: [job:read, stream:read] }]
`,
  });
});

async function beamway(at: ApiServer, bearer: Bearer | undefined, ...args: string[]): Promise<string> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, BEAMWAY_URL: at.url };
  const { stdout } = await run(LAUNCHER, args, {
    env: bearer === undefined ? env : { ...env, BEAMWAY_TOKEN: bearer.value },
  });
  return stdout;
}

test('a token is shown on in a file, exchanged at the other facility and used there', async () => {
  const token = await here.token();
  const hop = join(home, 'hop.jwt');
  const there0 = join(home, 'there.token');
  assert.equal(await beamway(here, token, 'token', 'hop', '--audience', 'there', '--out', hop), '');
  assert.equal(statSync(hop).mode & 0o777, 0o600);
  const shown = await beamway(here, await here.session('operator'), 'token', 'inspect', '--file', hop);
  assert.match(shown, /active: +yes/);
  assert.match(shown, /hop token for there/);
  const asked = ['--project', 'demo', '--environment', 'ace', '--scope', 'job:read', '--lifetime', '5m'];
  const json = await beamway(there, undefined, 'token', 'exchange', '--file', hop, ...asked, '--out', there0, '--json');
  const document = JSON.parse(json) as Record<string, unknown>;
  assert.deepEqual([document['scope'], document['project'], document['access_token']], ['job:read', 'demo', undefined]);
  const value = readFileSync(there0, 'utf8').trim();
  assert.equal((await there.ask('/beamway/v1/self', { bearer: value })).body['subject'], 'test@here');
});

test('a refusal of an OAuth endpoint is explained, exit code 2', async () => {
  const file = join(home, 'noise');
  writeFileSync(file, 'a.b.c');
  await assert.rejects(beamway(there, undefined, 'token', 'exchange', '--file', file), (thrown: unknown) => {
    const { code, stderr } = thrown as { code: number; stderr: string };
    assert.equal(code, 2);
    assert.match(stderr, /no JWT that can be read/);
    return true;
  });
});

test('keys are listed and turned, and the turn is in the audit log', async () => {
  const admin = await here.session('administrator');
  assert.match(await beamway(here, admin, 'key', 'list'), /signing/);
  const { keys } = JSON.parse(await beamway(here, admin, 'key', 'rotate', '--json')) as { keys: { state: string }[] };
  assert.deepEqual(keys.map((k) => k.state).sort(), ['published', 'signing']);
  assert.doesNotMatch(await beamway(here, admin, 'key', 'rotate', '--end-now'), /published|verifying/);
  const { body } = await here.ask('/beamway/v1/audit/records?limit=20', { bearer: admin });
  const records = body['records'] as { action: string; phase: string }[];
  assert.equal(records.filter((r) => r.action === 'key.rotate' && r.phase === 'outcome').length, 2);
});
