// Backup of a running system, restored into an empty place, and started there: what was true is true again, but for sessions.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { createClient } from '../../clients/typescript/src/index.ts';
import { systemClock } from '../../src/clock.ts';
import { removeEmbedded, silentLog } from '../../src/database/index.ts';
import { LAUNCHER, spawnUp, startBeamway, temporaryFolder, until } from './start-beamway.ts';

const run = promisify(execFile);
const beamway = await startBeamway({ after });
const place = temporaryFolder();
const restored = join(place, 'state');
const backup = join(place, 'backup');
after(async () => {
  if (existsSync(restored)) await removeEmbedded({ stateDir: restored, clock: systemClock, log: silentLog });
  rmSync(place, { recursive: true, force: true });
});

async function verb(
  ...words: string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  try {
    const { stdout, stderr } = await run(LAUNCHER, words);
    return { code: 0, out: stdout, err: stderr };
  } catch (thrown) {
    const { code, stdout, stderr } = thrown as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

test('a backup of a running system is restored into an empty place and serves there', {
  timeout: 180_000,
}, async (t) => {
  const { client, value, id } = await beamway.mint();
  const gone = await beamway.mint();
  await beamway.admin().call('token.revoke', { params: { id: gone.id } });
  const job = await client.call('job.submit', { body: { script: '#!/bin/sh\necho kept\n' } });
  await until('the job has ended', async () => {
    const { state } = await client.call('job.show', { params: { id: job.id } });
    return state === 'completed';
  });
  const glass = await verb(
    'admin',
    'break-glass',
    '--state',
    beamway.state,
    '--reason',
    'the provider is down',
    '--json',
  );
  assert.equal(glass.code, 0, glass.err);

  const made = await verb('backup', '--state', beamway.state, '--to', backup, '--json');
  assert.equal(made.code, 0, made.err);
  const second = await verb('backup', '--state', beamway.state, '--to', backup);
  assert.deepEqual([second.code, /not empty/.test(second.err)], [2, true], second.err);
  // What comes after the backup is not in it.
  const late = await beamway.mint();

  const done = await verb('restore', '--from', backup, '--state', restored, '--json');
  assert.equal(done.code, 0, done.err);
  const report = JSON.parse(done.out) as { validTokens: number; revokedSessions: number; auditRecords: number };
  assert.equal(report.validTokens, 1);
  assert.equal(report.revokedSessions, 2, 'the one of up --dev and the break-glass one');
  const into = await verb('restore', '--from', backup, '--state', restored);
  assert.deepEqual([into.code, /not empty/.test(into.err)], [2, true], into.err);

  const up = await spawnUp(restored);
  assert.ok('ready' in up, 'code' in up ? up.said() : '');
  t.after(async () => {
    up.child.kill('SIGTERM');
    await new Promise((resolve) => up.child.once('exit', resolve));
  });
  const there = createClient({ url: up.ready.url, token: value });
  assert.equal((await there.call('self.show')).id, id);
  assert.equal((await there.call('job.show', { params: { id: job.id } })).state, 'completed');
  const output = await there.call('job.output', { params: { id: job.id } });
  assert.equal(JSON.stringify(output).includes('kept'), true, JSON.stringify(output));
  for (const token of [late.value, gone.value, (JSON.parse(glass.out) as { value: string }).value])
    await assert.rejects(createClient({ url: up.ready.url, token }).call('self.show'));
  const admin = createClient({ url: up.ready.url, token: up.ready.adminToken ?? '' });
  const chain = await admin.call('audit.verify');
  assert.equal(chain.intact, true, JSON.stringify(chain));
  assert.ok(chain.records > report.auditRecords);
  const { records } = await admin.call('audit.list', { query: { action: 'admin.break-glass' } });
  assert.deepEqual(
    records.map((r) => r.detail['reason']),
    ['the provider is down', 'the provider is down'],
  );
  // It works, not only reads: a new job on the restored system.
  const next = await there.call('job.submit', { body: { script: '#!/bin/sh\necho on\n' } });
  await until('it ends', async () => (await there.call('job.show', { params: { id: next.id } })).state === 'completed');
});

test('a backup that was altered, or not finished, is refused before anything is written', async () => {
  const elsewhere = join(place, 'elsewhere');
  const table = join(backup, 'database/identity_token.copy.gz');
  const rows = gunzipSync(readFileSync(table)).toString();
  assert.doesNotMatch(rows, /bw[psn]_[0-9a-z]{50}/, 'digests only');
  appendFileSync(table, 'x');
  const altered = await verb('restore', '--from', backup, '--state', elsewhere);
  assert.equal(altered.code, 1);
  assert.match(altered.err, /identity_token\.copy\.gz is not what was backed up/);
  rmSync(join(backup, 'manifest.json'));
  const unfinished = await verb('restore', '--from', backup, '--state', elsewhere);
  assert.match(unfinished.err, /no whole backup/);
  assert.ok(!existsSync(elsewhere));
  chmodSync(place, 0o700);
});
