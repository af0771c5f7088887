/** `./beamway token …` as a beamline's service and its person use it: values go to 0600 files, and a service keeps its own file fresh. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { type ApiServer, fileScope, startApiServer } from './api-server.ts';

const LAUNCHER = join(import.meta.dirname, '../../beamway');
const scope = fileScope();
let api: ApiServer;
let admin = '';
let home = '';

before(async () => {
  api = await startApiServer(scope);
  admin = (await api.session('administrator')).value;
  home = mkdtempSync(join(tmpdir(), 'beamway-token-cli-'));
  scope.after(async () => rmSync(home, { recursive: true }));
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function beamway(args: readonly string[], token: Readonly<Record<string, string>>): Promise<Ran> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, BEAMWAY_URL: api.url, ...token };
  const child = spawn(LAUNCHER, ['token', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], cwd: home });
  let [out, err] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

const asAdmin = (...args: string[]): Promise<Ran> => beamway(args, { BEAMWAY_TOKEN: admin });
const asService = (...args: string[]): Promise<Ran> =>
  beamway(args, { BEAMWAY_TOKEN_FILE: join(home, 'service.token') });
const WISH = ['--project', 'demo', '--environment', 'ace', '--scope', 'job:read,token:delegate,stream:connect'];

test('a service is minted into a file, delegates, renews and rotates its own file, and ends itself', async () => {
  const minted = await asAdmin(
    ...['mint', ...WISH, '--lifetime', '12h', '--renewable', '7d', '--purpose', 'beamline-streaming'],
    ...['--classification', 'proprietary', '--source', '127.0.0.0/8', '::1', '--out', 'service.token'],
  );
  assert.equal(minted.code, 0, minted.err);
  assert.equal(minted.out, '');
  const file = join(home, 'service.token');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const first = readFileSync(file, 'utf8');
  assert.match(first, /^bwp_[0-9a-z]{58}\n$/);
  const shown = await asService('show');
  assert.match(shown.out, /sources: +127\.0\.0\.0\/8, ::1\/128/);
  assert.match(shown.out, /purpose: +beamline-streaming/);

  const child = await asService(
    ...[
      'delegate',
      '--scope',
      'stream:connect',
      '--lifetime',
      '2h',
      '--one-time',
      '--description',
      'detector',
      '--json',
    ],
  );
  assert.equal(child.code, 0, child.err);
  const { maxUses, sources } = JSON.parse(child.out) as { maxUses: number; sources: string[] };
  assert.deepEqual([maxUses, sources], [1, ['127.0.0.0/8', '::1/128']]);

  const renewed = await asService('renew', '--lifetime', '24h', '--json');
  assert.ok(Date.parse((JSON.parse(renewed.out) as { expiresAt: string }).expiresAt) > Date.now() + 86_000_000);
  const rotated = await asService('rotate', '--overlap', '10m', '--out', 'service.token');
  assert.equal(rotated.code, 0, rotated.err);
  assert.notEqual(readFileSync(file, 'utf8'), first);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const tree = await asService('tree');
  assert.match(tree.out, /^tok_\S+ active.*\n( {2})?tok_\S+ active/m);
  assert.match(tree.out, /^ {2}tok_\S+ active.*\(detector\)$/m);
  assert.match(tree.out, /replaces tok_/);
  const ended = await asService('revoke', '--self');
  assert.match(ended.out, /is revoked\n$/);
  assert.equal((await asService('show')).code, 3);
  assert.deepEqual(
    readdirSync(home).filter((f) => f.endsWith('.new')),
    [],
  );
});

test('a file that cannot be written is said before anything is minted', async () => {
  const before = (JSON.parse((await asAdmin('list', '--json')).out) as { tokens: unknown[] }).tokens.length;
  const ran = await asAdmin('mint', ...WISH, '--lifetime', '1h', '--out', '/nowhere/token');
  assert.deepEqual([ran.code, ran.out], [2, '']);
  const after = (JSON.parse((await asAdmin('list', '--json')).out) as { tokens: unknown[] }).tokens.length;
  assert.equal(after, before);
  assert.ok(!existsSync('/nowhere'));
});

test('what goes beyond the rules is told field by field with exit code 2', async () => {
  const ran = await asAdmin('mint', ...WISH, '--lifetime', '30d', '--source', '0.0.0.0/0', '--purpose', 'fun');
  assert.equal(ran.code, 2);
  for (const said of [/lifetimeSeconds: at most 168 h/, /sources\/0: at least a \/8/, /purpose: no purpose fun/])
    assert.match(ran.err, said);
  const both = await asAdmin('mint', ...WISH, '--lifetime', '1h', '--one-time', '--max-uses', '2');
  assert.equal(both.code, 2);
});
