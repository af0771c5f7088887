// Nothing secret is where it must not be: a whole system at its most talkative, used with every kind of secret, then its logs, its audit log, its rows and
// its files are searched for each of them.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { createClient } from '../../clients/typescript/src/index.ts';
import { systemClock } from '../../src/clock.ts';
import { dumpDatabase, removeEmbedded, silentLog } from '../../src/database/index.ts';
import { newBearer } from '../../src/identity/index.ts';
import { withDatabaseOf } from '../../src/reach-database.ts';
import { credentialFor, readyStream } from './libzmq.ts';
import { LAUNCHER, spawnUp, temporaryFolder, until } from './start-beamway.ts';

const run = promisify(execFile);
const folder = temporaryFolder();
const state = join(folder, 'state');
const up = await spawnUp(state, { env: { BEAMWAY_LOG_LEVEL: 'trace' } });
after(async () => {
  if ('ready' in up && up.child.exitCode === null) {
    up.child.kill('SIGTERM');
    await new Promise((resolve) => up.child.once('exit', resolve));
  }
  await removeEmbedded({ stateDir: state, clock: systemClock, log: silentLog });
  rmSync(folder, { recursive: true, force: true });
});

/** Everything handed out or typed in, by what it is. */
const secrets = new Map<string, string>();
const keep = (what: string, value: string): string => {
  assert.ok(value.length >= 6, what);
  secrets.set(what, value);
  return value;
};

function filesBelow(root: string): readonly string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile())
    .map((e) => join(e.parentPath, e.name));
}

const found = (text: string): readonly string[] =>
  [...secrets].filter(([, value]) => text.includes(value)).map(([what]) => what);

const JOB = '#!/bin/sh\ncat "$BEAMWAY_STREAMS"\n';

test('a system that was used in every way has no secret in logs, audit, rows or readable files', {
  timeout: 120_000,
}, async () => {
  assert.ok('ready' in up, 'code' in up ? up.said() : '');
  const admin = createClient({ url: up.ready.url, token: keep('session', up.ready.adminToken ?? '') });
  const minted = await admin.call('token.mint', {
    body: {
      project: 'demo',
      environments: ['ace'],
      scopes: ['job:submit', 'job:read', 'stream:create', 'stream:read', 'stream:connect', 'token:delegate'],
      lifetimeSeconds: 3600,
    },
  });
  const client = createClient({ url: up.ready.url, token: keep('token', minted.value) });
  keep('child', (await client.call('self.delegate', { body: { scopes: ['job:read'], lifetimeSeconds: 60 } })).value);
  const hop = await client.call('self.hop-token', { body: { audience: 'internal-services' } });
  keep('hop token', hop.value);
  for (const token of [minted.value, hop.value]) {
    assert.equal((await admin.call('oauth.introspect', { body: { token } })).active, true);
    assert.equal((await admin.call('token.introspect', { body: { token } })).active, true);
  }
  const exchange = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: minted.value,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    scope: 'job:read',
  };
  keep('exchanged token', (await client.call('oauth.token', { body: exchange })).access_token);
  const jwt = { ...exchange, subject_token: hop.value, subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' };
  await assert.rejects(client.call('oauth.token', { body: jwt }), { code: 'invalid_request' });
  const { id } = await readyStream(client, 'lcls-results');
  for (const role of ['producer', 'consumer'] as const)
    keep(`${role} password`, (await credentialFor(client, id, role)).password);
  const job = await client.call('job.submit', {
    body: { script: JOB, streams: [{ stream: id, name: 'frames', role: 'consumer' as const }] },
  });
  await until(
    'the job ends',
    async () => (await client.call('job.show', { params: { id: job.id } })).state === 'completed',
  );
  const { text } = await client.call('job.output', { params: { id: job.id } });
  const claimed = /"password":\s*"([^"]+)"/.exec(text)?.[1];
  keep('password of the job', claimed ?? '');
  // Wrong ones too: a typing mistake is almost the secret.
  for (const [what, token] of [
    ['unknown bearer', newBearer('token')],
    ['mistyped bearer', `${minted.value.slice(0, -1)}!`],
  ] as const)
    await assert.rejects(createClient({ url: up.ready.url, token: keep(what, token) }).call('self.show'));
  const { stdout } = await run(LAUNCHER, ['admin', 'break-glass', '--state', state, '--reason', 'a test']);
  keep('break-glass session', stdout.trim());
  const broken = keep('bearer in a broken request', newBearer('session'));
  await fetch(`${up.ready.url}/beamway/v1/jobs`, {
    method: 'POST',
    headers: { authorization: `Bearer ${broken}`, 'content-type': 'application/json' },
    body: '{"name": ',
  });

  const pages: string[] = [];
  let before: number | undefined;
  do {
    const page = await admin.call('audit.list', {
      query: { limit: 1000, ...(before === undefined ? {} : { before }) },
    });
    pages.push(JSON.stringify(page.records));
    before = page.next ?? undefined;
  } while (before !== undefined);
  assert.deepEqual(found(pages.join('\n')), [], 'in the audit log');

  const dump = join(folder, 'dump');
  mkdirSync(dump, { mode: 0o700 });
  await withDatabaseOf(state, ({ target }) => dumpDatabase(target, dump));
  for (const file of readdirSync(dump))
    assert.deepEqual(
      found(gunzipSync(readFileSync(join(dump, file))).toString('latin1')),
      [],
      `in the rows of ${file}`,
    );

  up.child.kill('SIGTERM');
  await new Promise((resolve) => up.child.once('exit', resolve));
  assert.match(up.said(), /"level":/, 'the log was written');
  assert.deepEqual(found(up.said()), [], 'in the log');

  // The job's own output is the job's business; all else that holds a secret is its owner's alone.
  for (const file of filesBelow(state).filter((f) => !f.includes('/database/') && !f.includes('/attempt-'))) {
    const holds = found(readFileSync(file, 'latin1'));
    if (holds.length > 0) assert.equal(statSync(file).mode & 0o077, 0, `${file} holds ${holds.join(', ')}`);
  }
});
