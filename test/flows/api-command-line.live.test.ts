/** The real `./beamway` against a live server: exit codes, one JSON document, where a token may stand, profiles, completion. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { sql } from 'kysely';
import { type ApiServer, asOwner, type Bearer, eventually, FACILITY, fileScope, startApiServer } from './api-server.ts';

const LAUNCHER = join(import.meta.dirname, '../../beamway');
const NOBODY_LISTENS = 'http://127.0.0.1:1';
const scope = fileScope();
let api: ApiServer;
let token: Bearer;
let home = '';

before(async () => {
  api = await startApiServer(scope);
  token = await api.token();
  home = mkdtempSync(join(tmpdir(), 'beamway-cli-'));
  scope.after(async () => rmSync(home, { recursive: true }));
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

type Env = Readonly<Record<string, string>>;

/** Only these variables: nothing of the machine's own profile or tokens. */
const environment = (env: Env): Env => ({ PATH: process.env['PATH'] ?? '', HOME: home, ...env });
const online = (): Env => ({ BEAMWAY_URL: api.url, BEAMWAY_TOKEN: token.value });

async function beamway(args: readonly string[], env: Env = online(), input = ''): Promise<Ran> {
  const child = spawn(LAUNCHER, args, { env: environment(env), stdio: 'pipe' });
  let out = '';
  let err = '';
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString();
  });
  child.stdin.on('error', () => {}); // it may have ended without reading
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

const script = (name: string, text: string): string => {
  const path = join(home, name);
  writeFileSync(path, text);
  return path;
};

test('exit code 0: what was asked for was done, with one JSON document on standard output', async () => {
  const good = script('good.sh', '#!/bin/sh\necho "hello $1"\n');
  const ran = await beamway(['job', 'submit', good, 'world', '--wait', '--json']);
  assert.equal(ran.code, 0, ran.err);
  const job = JSON.parse(ran.out) as { id: string; state: string };
  assert.equal(job.state, 'completed');
  const logs = await beamway(['job', 'logs', job.id]);
  assert.deepEqual([logs.code, logs.out], [0, 'hello world\n']);
  const admin = { BEAMWAY_URL: api.url, BEAMWAY_TOKEN: (await api.session('administrator')).value };
  const documents: readonly (readonly [readonly string[], Env])[] = [
    [['job', 'logs', job.id, '--json'], online()],
    [['job', 'list', '--json'], online()],
    [['job', 'show', job.id, '--json'], online()],
    [['job', 'cancel', job.id, '--json'], online()],
    [['stream', 'list', '--json'], online()],
    [['stream', 'top', '--count', '1', '--json'], online()],
    [['template', 'list', '--json'], online()],
    [['cluster', 'list', '--json'], online()],
    [['facility', 'show', '--json'], online()],
    [['run', 'list', '--json'], online()],
    [['token', 'show', '--json'], online()],
    [['audit', 'list', '--json'], online()],
    [['token', 'list', '--json'], admin],
    [['audit', 'verify', '--json'], admin],
    [['dsn', 'list', '--json'], admin],
    [['check', '--facility', FACILITY, '--json'], {}],
  ];
  for (const [args, env] of documents) {
    const { code, out, err } = await beamway(args, env);
    assert.equal(code, 0, `${args.join(' ')}: ${err}`);
    assert.equal(typeof JSON.parse(out), 'object', args.join(' '));
    assert.equal(err, '', args.join(' '));
  }
});

test('exit code 1: it was tried and failed', async () => {
  const bad = script('bad.sh', '#!/bin/sh\nexit 7\n');
  const ran = await beamway(['job', 'submit', bad, '--wait', '--json']);
  assert.equal(ran.code, 1);
  assert.equal((JSON.parse(ran.out) as { state: string }).state, 'failed');
  const facility = mkdtempSync(join(home, 'facility-'));
  const check = await beamway(['check', '--facility', facility], {});
  assert.equal(check.code, 1);
  assert.match(check.out, /facility\.yaml:1:1: cannot be read/);
});

test('exit code 2: the command line, the script or the request is wrong, and each fault is named', async () => {
  const file = script('plain.txt', 'no interpreter line\n');
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['job', 'sbumit'], /unknown command|help/],
    [['job', 'submit'], /Name a script/],
    [['job', 'submit', '/nowhere.sh'], /\/nowhere\.sh cannot be read/],
    [['job', 'submit', file], /#\/script: .*interpreter line/],
    [['job', 'submit', file, '--nodes', '0'], /whole number/],
    [['job', 'list', '--state', 'odd'], /query:\/state/],
    [['token', 'mint', '--project', 'demo'], /required option/],
    [['token', 'revoke'], /Name a token, or say --self/],
    [['stream', 'create', '--template', 'x', '--lifetime', 'long'], /duration such as 90s/],
    [['completion', 'fish'], /bash or zsh/],
  ];
  for (const [args, says] of cases) {
    const { code, out, err } = await beamway(args);
    assert.deepEqual([code, out], [2, ''], args.join(' '));
    assert.match(err, says);
  }
  const nowhere = await beamway(['job', 'list'], {});
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.err, /BEAMWAY_URL/);
});

test('exit code 3: refused, with the rule and what would change it', async () => {
  const narrow = await api.token({ scopes: ['job:read'] });
  const good = script('good.sh', '#!/bin/sh\nexit 0\n');
  const ran = await beamway(['job', 'submit', good], { BEAMWAY_URL: api.url, BEAMWAY_TOKEN: narrow.value });
  assert.equal(ran.code, 3);
  assert.match(ran.err, /rule token-holds-scope: mint a token that holds the scope job:submit/);
  assert.match(ran.err, /urn:beamway:request:req_/);
  const unknown = await beamway(['job', 'list'], { BEAMWAY_URL: api.url, BEAMWAY_TOKEN: 'bwp_nonsense' });
  assert.equal(unknown.code, 3);
  assert.doesNotMatch(unknown.err + unknown.out, /nonsense/, 'not even a wrong token is repeated');
});

test('exit code 4: not found', async () => {
  const ran = await beamway(['job', 'show', 'job_00000000000000000000']);
  assert.equal(ran.code, 4);
  assert.match(ran.err, /next: Check the id/);
});

test('exit code 5: unavailable', async () => {
  const ran = await beamway(['job', 'list'], { BEAMWAY_URL: NOBODY_LISTENS, BEAMWAY_TOKEN: token.value });
  assert.equal(ran.code, 5);
  assert.match(ran.err, /does not answer/);
});

test('a broken chain is exit code 1, with the record named', async () => {
  const admin = { BEAMWAY_URL: api.url, BEAMWAY_TOKEN: (await api.session('administrator')).value };
  const digest = await sql<{ digest: Buffer }>`select digest from audit_record where sequence = 1`.execute(
    api.database.kysely,
  );
  await asOwner(api, async (owner) => {
    await sql`update audit_record set digest = sha256('x') where sequence = 1`.execute(owner.kysely);
  });
  const ran = await beamway(['audit', 'verify'], admin);
  assert.deepEqual([ran.code, ran.out], [1, 'broken at record 1: altered: record 1 does not match its digest\n']);
  await asOwner(api, async (owner) => {
    await sql`update audit_record set digest = ${digest.rows[0]?.digest} where sequence = 1`.execute(owner.kysely);
  });
  assert.match((await beamway(['audit', 'verify'], admin)).out, /^intact: \d+ records/);
});

test('a token’s value is never an argument: it cannot be given as one, and no process shows it', async () => {
  for (const args of [
    ['job', 'list', '--token', token.value],
    ['--token', token.value, 'job', 'list'],
  ])
    assert.equal((await beamway(args)).code, 2);
  const slow = script('slow.sh', '#!/bin/sh\necho started\nexec sleep 60\n');
  const { out } = await beamway(['job', 'submit', slow]);
  const id = out.trim();
  const child = spawn(LAUNCHER, ['job', 'logs', id, '--follow'], { env: environment(online()), stdio: 'pipe' });
  await once(child.stdout, 'data');
  const line = readFileSync(`/proc/${child.pid}/cmdline`, 'latin1');
  assert.match(line, /logs/);
  assert.ok(!line.includes(token.value));
  assert.equal((await beamway(['job', 'cancel', id])).code, 0);
  assert.equal((await once(child, 'exit'))[0], 0, 'following ends with the job');
});

test('a token is minted once as text or JSON, works, and its value is shown by nothing afterwards', async () => {
  const admin = { BEAMWAY_URL: api.url, BEAMWAY_TOKEN: (await api.session('administrator')).value };
  const wish = [
    '--project',
    'demo',
    '--environment',
    'ace',
    'odo',
    '--scope',
    'job:read,stream:read',
    '--lifetime',
    '24h',
  ];
  const minted = await beamway(['token', 'mint', ...wish, '--json'], admin);
  const { id, value, expiresAt } = JSON.parse(minted.out) as Record<string, string>;
  assert.match(`${id} ${value}`, /^tok_\S+ bwp_\S+$/);
  assert.ok(Date.parse(expiresAt ?? '') > Date.now() + 23 * 3_600_000);
  const text = await beamway(['token', 'mint', ...wish], admin);
  assert.match(text.out, /^bwp_[0-9a-z]{58}\n$/, 'the value alone, for $(…)');
  for (const args of [
    ['token', 'list', '--json'],
    ['token', 'show', id ?? '', '--json'],
    ['token', 'show', id ?? ''],
  ])
    assert.doesNotMatch((await beamway(args, admin)).out, /bwp_/);
});

test('token revoke --self ends the token in use', async () => {
  const own = { BEAMWAY_URL: api.url, BEAMWAY_TOKEN: (await api.token()).value };
  const ran = await beamway(['token', 'revoke', '--self'], own);
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /is revoked/);
  const after = await beamway(['job', 'list'], own);
  assert.equal(after.code, 3);
  assert.match(after.err, /was revoked/);
});

test('a profile file names facility and token; one that others can read is refused', async () => {
  const folder = join(home, '.config', 'beamway');
  const path = join(folder, 'profiles.json');
  mkdirSync(folder, { recursive: true });
  const profiles = { default: { url: api.url, token: token.value }, broken: { url: NOBODY_LISTENS } };
  writeFileSync(path, JSON.stringify(profiles), { mode: 0o600 });
  assert.equal((await beamway(['token', 'show'], {})).code, 0);
  assert.equal((await beamway(['token', 'show'], { BEAMWAY_PROFILE: 'broken' })).code, 5);
  const absent = await beamway(['token', 'show'], { BEAMWAY_PROFILE: 'absent' });
  assert.equal(absent.code, 2);
  assert.match(absent.err, /has no profile absent/);
  chmodSync(path, 0o640);
  const open = await beamway(['token', 'show'], {});
  assert.equal(open.code, 2);
  assert.match(open.err, /can be read by others; run: chmod 600/);
  chmodSync(path, 0o600);
  writeFileSync(path, `{"default": {"token": "${token.value}",`);
  const torn = await beamway(['token', 'show'], {});
  assert.equal(torn.code, 2);
  assert.match(torn.err, /is no JSON/);
  assert.ok(!torn.err.includes(token.value));
  rmSync(path);
  const file = { BEAMWAY_URL: api.url, BEAMWAY_TOKEN_FILE: script('token', `${token.value}\n`) };
  assert.equal((await beamway(['token', 'show'], file)).code, 0);
  const missing = await beamway(['token', 'show'], { ...file, BEAMWAY_TOKEN_FILE: '/nowhere/token' });
  assert.equal(missing.code, 2);
  assert.match(missing.err, /BEAMWAY_TOKEN_FILE cannot be read/);
});

test('a script is read from standard input, and a key given twice is one job', async () => {
  const submit = (): Promise<Ran> =>
    beamway(['job', 'submit', '-', '--key', 'twice', '--name', 'piped'], online(), '#!/bin/sh\nexit 0\n');
  const [first, second] = [await submit(), await submit()];
  assert.equal(first.code, 0, first.err);
  assert.equal(second.out, first.out);
  await eventually('the job to end', async () => {
    const shown = await beamway(['job', 'show', first.out.trim(), '--json']);
    return (JSON.parse(shown.out) as { state: string }).state === 'completed' ? true : undefined;
  });
});

test('the completion script completes nouns, verbs and options in a real bash', async () => {
  const { code, out } = await beamway(['completion', 'bash'], {});
  assert.equal(code, 0);
  const path = script('completion.bash', out);
  const ask = async (words: string): Promise<string[]> => {
    const line = `source ${path}; COMP_WORDS=(beamway ${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _beamway; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const bash = spawn('/bin/bash', ['--norc', '-c', line], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    bash.stdout.on('data', (data: Buffer) => {
      text += data.toString();
    });
    await once(bash, 'close');
    return text.split('\n').filter((w) => w !== '');
  };
  assert.deepEqual(await ask('str'), ['stream']);
  assert.deepEqual(await ask('job ca'), ['cancel']);
  assert.ok((await ask('job submit --sl')).includes('--slots'));
  assert.deepEqual(await ask('token revoke --se'), ['--self']);
});
