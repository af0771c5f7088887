/** A whole system at its most talkative, as a browser without scripts and the command line use it: second factors work, and nothing of theirs is in logs, audit, rows or files. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { newBrowserSecret } from '../../src/api/pages/cookies.ts';
import { systemClock } from '../../src/clock.ts';
import { openDatabase, removeEmbedded, silentLog } from '../../src/database/index.ts';
import { issueSession } from '../../src/identity/index.ts';
import { totpCode, wrongCode } from '../../src/identity/second-factor/factor.fixture.ts';
import { withDatabaseOf } from '../../src/reach-database.ts';
import { LAUNCHER, spawnUp, temporaryFolder } from './start-beamway.ts';

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

const secrets = new Map<string, string>();
const keep = (what: string, value: string): string => {
  assert.ok(value.length >= 6, what);
  secrets.set(what, value);
  return value;
};
const found = (text: string): readonly string[] =>
  [...secrets].filter(([, value]) => text.includes(value)).map(([what]) => what);

/** A page as it is read without a script: forms and their answers. */
interface FormBrowser {
  open(path: string): Promise<string>;
  send(path: string, fields: Readonly<Record<string, string>>): Promise<{ status: number; text: string; to: string }>;
}

async function formBrowser(origin: string, subject: string): Promise<FormBrowser> {
  const secret = keep('browser secret', newBrowserSecret());
  const value = await withDatabaseOf(state, async ({ target }) => {
    const database = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 1 });
    const browser = createHash('sha256').update(secret).digest();
    const issued = await issueSession(
      { db: database.kysely, clock: systemClock },
      { subject, roles: ['administrator'], lifetimeSeconds: 600, by: 'test', methods: ['oidc'], browser },
    );
    await database.close();
    return keep('session', issued.value);
  });
  const { port } = new URL(origin);
  const headers = { cookie: `bw_session_${port}=${value}; bw_browser_${port}=${secret}` };
  let csrf = '';
  const open = async (path: string): Promise<string> => {
    const text = await (await fetch(`${origin}${path}`, { headers, redirect: 'manual' })).text();
    csrf = /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? csrf;
    return text;
  };
  return {
    open,
    async send(path, fields) {
      const answer = await fetch(`${origin}${path}`, {
        method: 'POST',
        headers: { ...headers, origin, 'sec-fetch-site': 'same-origin' },
        body: new URLSearchParams({ csrf, ...fields }),
        redirect: 'manual',
      });
      return { status: answer.status, text: await answer.text(), to: answer.headers.get('location') ?? '' };
    },
  };
}

test('second factors leave no secret anywhere, and the command line lists, removes and resets them', {
  timeout: 120_000,
}, async () => {
  assert.ok('ready' in up, 'code' in up ? up.said() : '');
  const origin = up.ready.url.replace('127.0.0.1', 'localhost');
  const browser = await formBrowser(origin, 'administrator');
  assert.match(await browser.open('/beamway/factors'), /Add an app/);
  const offer = await browser.send('/beamway/factors/app', {});
  const secret = keep('TOTP secret', (/<br><code>([A-Z2-7 ]+)</.exec(offer.text)?.[1] ?? '').replaceAll(' ', ''));
  keep('TOTP secret as shown', secret.replaceAll(/.{4}(?=.)/g, '$& '));
  const id = /name="id" value="(fac_\w+)"/.exec(offer.text)?.[1] ?? '';
  const code = wrongCode(secret, systemClock.now());
  assert.equal((await browser.send('/beamway/factors/app/confirm', { id, code })).status, 403);
  const right = totpCode(secret, systemClock.now());
  const enrolled = await browser.send('/beamway/factors/app/confirm', { id, code: right, name: 'My phone' });
  assert.deepEqual([enrolled.status, enrolled.to], [303, '/beamway/factors/recovery?first=yes']);
  const shown = await browser.send('/beamway/factors/recovery', {});
  const codes = [...shown.text.matchAll(/<li><code>([^<]+)</g)].map((m) => m[1] ?? '');
  assert.equal(codes.length, 10);
  for (const one of codes) keep(`recovery code ${one.slice(0, 2)}`, one);
  assert.equal((await browser.send('/beamway/factor/code', { code: right })).status, 403, 'a replay');
  const used = await browser.send('/beamway/factor/code', { code: codes[0] ?? '', return: '/beamway/sessions' });
  assert.deepEqual([used.status, used.to], [303, '/beamway/sessions']);

  const env = { ...process.env, BEAMWAY_URL: up.ready.url, BEAMWAY_TOKEN: keep('admin', up.ready.adminToken ?? '') };
  const cli = (...args: string[]): Promise<{ code: number; out: string }> =>
    promisify(execFile)(LAUNCHER, ['factor', ...args], { env }).then(
      ({ stdout, stderr }) => ({ code: 0, out: stdout + stderr }),
      (failed: { code: number; stdout: string; stderr: string }) => ({
        code: failed.code,
        out: failed.stdout + failed.stderr,
      }),
    );
  const list = await cli('list');
  assert.deepEqual([list.code, list.out.includes('My phone'), list.out.includes('9 left')], [0, true, true], list.out);
  const early = await cli('remove', id);
  assert.equal(early.code, 3);
  assert.match(early.out, /beamway login --step-up/);
  const own = await cli('reset', 'administrator', '--reason', 'a test');
  assert.equal(own.code, 3, own.out);
  const other = await cli('reset', 'mona', '--reason', 'a test', '--json');
  assert.deepEqual(JSON.parse(other.out), { subject: 'mona', removed: [] });
  assert.equal((await browser.send('/beamway/factors/remove', { id })).status, 303);
  assert.deepEqual((JSON.parse((await cli('list', '--json')).out) as { factors: unknown[] }).factors, []);

  for (const line of up.said().split('\n')) assert.deepEqual(found(line), [], line.slice(0, 200));
  assert.ok(!up.said().includes(`"code":"${right}"`) && !up.said().includes(`code=${right}`));
  await withDatabaseOf(state, async ({ target }) => {
    const database = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 1 });
    const tables = await sql<{ name: string }>`select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema')`.execute(database.kysely);
    for (const { name } of tables.rows) {
      const rows = await sql<{ row: string }>`select t::text as row from ${sql.raw(name)} t`.execute(database.kysely);
      for (const { row } of rows.rows) assert.deepEqual(found(row), [], name);
    }
    await database.close();
  });
  const keys = join(state, 'keys', 'factor-keys.json');
  assert.equal(statSync(keys).mode & 0o777, 0o600);
  const key = Object.values((JSON.parse(readFileSync(keys, 'utf8')) as { keys: Record<string, string> }).keys)[0] ?? '';
  assert.ok(!up.said().includes(keep('factor key', key)));
  for (const entry of readdirSync(state, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    // The database's own files are its rows, looked through above.
    if (!entry.isFile() || path === keys || path.includes('/postgres')) continue;
    const text = readFileSync(path, 'latin1');
    const leaked = found(text).filter((what) => /TOTP|recovery|factor key|browser/.test(what));
    assert.deepEqual(leaked, [], path);
  }
});
