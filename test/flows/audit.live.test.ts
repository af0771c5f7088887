// The audit log on a whole system, through the command line: one story from token to bytes, export, verification online and offline, retention.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Result } from '../../clients/typescript/src/index.ts';
import { admitted, credentialFor, frameOf, pullFrom, pushTo, readyStream } from './libzmq.ts';
import { LAUNCHER, startBeamway, temporaryFolder, until } from './start-beamway.ts';

type Record_ = Result<'audit.show'>;

const folder = temporaryFolder();
after(() => rmSync(folder, { recursive: true, force: true }));
const beamway = await startBeamway({ after });
const mine = await beamway.mint();

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const audit = (words: readonly string[], token?: string): Promise<Ran> => run(['audit', ...words], token);

async function run(words: readonly string[], token?: string): Promise<Ran> {
  const env = {
    PATH: process.env['PATH'],
    HOME: folder,
    BEAMWAY_URL: beamway.url(),
    ...(token === undefined ? {} : { BEAMWAY_TOKEN: token }),
  };
  const child = spawn(LAUNCHER, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    out += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    err += part;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

const administrator = (await run(['admin', 'init', '--state', beamway.state])).out.trim();
const admin = (...words: string[]): Promise<Ran> => audit(words, administrator);

test('one trace tells the story from the token to the bytes', { timeout: 120_000 }, async (t) => {
  const { client } = mine;
  const stream = await readyStream(client, 'lcls-results');
  const push = pushTo(t, await credentialFor(client, stream.id, 'producer'));
  const pull = pullFrom(t, await credentialFor(client, stream.id, 'consumer'));
  await Promise.all([admitted(push), admitted(pull)]);
  for (let i = 0; i < 5; i++) await push.send(frameOf(i, 10_000));
  for (let i = 0; i < 5; i++) await pull.receive();
  const job = await client.call('job.submit', { body: { script: '#!/bin/sh\nexit 0\n' } });
  push.close();
  pull.close();
  await client.call('stream.delete', { params: { id: stream.id } });
  await until('the job has ended', async () => {
    return (await client.call('job.show', { params: { id: job.id } })).state === 'completed';
  });

  const story = await until('everything is recorded', async () => {
    const { records } = await client.call('audit.trace', { params: { id: mine.id } });
    const done = (action: string) => records.some((r) => r.action === action);
    return done('stream.closed') && done('stream.released') && done('job.completed') && records;
  });
  const of = (action: string, phase?: string): Record_ =>
    story.find((r) => r.action === action && (phase === undefined || r.phase === phase)) ??
    assert.fail(`no ${phase ?? ''} ${action} in ${story.map((r) => r.action).join(' ')}`);
  assert.deepEqual(
    story.map((r) => r.sequence),
    story.map((r) => r.sequence).toSorted((a, b) => a - b),
  );
  const made = of('stream.create', 'outcome');
  assert.equal(made.callerId, mine.id);
  assert.equal(made.resource, stream.id);
  const connected = story.filter((r) => r.action === 'stream.connected');
  assert.equal(connected.length, 2);
  const closed = of('stream.closed');
  assert.ok(Number(closed.detail['bytesIn']) >= 50_000 && Number(closed.detail['bytesOut']) >= 50_000);
  for (const event of [...connected, closed, of('stream.released')])
    assert.deepEqual([event.requestId, event.resource], [made.requestId, `stream/${stream.id}`], event.action);
  assert.deepEqual([closed.callerKind, closed.subject], ['node', beamway.node().name]);
  const submitted = of('job.submit', 'outcome');
  assert.deepEqual([of('job.completed').requestId, of('job.completed').callerKind], [submitted.requestId, 'system']);

  for (const id of [made.requestId, stream.id]) {
    const { records } = await client.call('audit.trace', { params: { id } });
    assert.ok(
      ['stream.create', 'stream.connected', 'stream.closed'].every((a) => records.some((r) => r.action === a)),
      id,
    );
    assert.ok(!records.some((r) => r.action.startsWith('job.')), `${id} has nothing to do with the job`);
  }
  const ofJob = await client.call('audit.trace', { params: { id: job.id } });
  assert.ok(ofJob.records.some((r) => r.action === 'job.completed'));
  const minted = await beamway.admin().call('audit.trace', { params: { id: job.id } });
  assert.ok(
    minted.records.some((r) => r.action === 'token.mint'),
    'also how its bearer came to be',
  );

  const printed = await audit(['trace', made.requestId], mine.value);
  assert.equal(printed.code, 0, printed.err);
  assert.match(printed.out, /stream\.closed/);
  assert.equal((await audit(['trace', 'req_00000000000000000000'], mine.value)).code, 4);
});

test('an export verifies without a server, with the public key, and shows a change', { timeout: 120_000 }, async () => {
  const sealed = await admin('checkpoint');
  assert.equal(sealed.code, 0, sealed.err);
  const { sequence } = JSON.parse(sealed.out) as { sequence: number };
  const verified = await admin('verify', '--json');
  assert.equal(verified.code, 0, verified.out);
  const report = JSON.parse(verified.out) as Result<'audit.verify'>;
  assert.ok(report.intact && (report.signedThrough ?? 0) >= sequence);
  const key = join(folder, 'key.pem');
  writeFileSync(key, (await admin('key')).out);
  const listed = (await admin('checkpoint', '--list')).out;
  assert.deepEqual(
    listed.trim().split('\n').slice(0, -1),
    readFileSync(join(beamway.state, 'audit/checkpoints.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .slice(0, listed.trim().split('\n').length - 1),
  );

  const exported = await admin('export');
  assert.equal(exported.code, 0, exported.err);
  const file = join(folder, 'audit.jsonl');
  writeFileSync(file, exported.out);
  const offline = await audit(['verify', '--records', file, '--key', key]);
  assert.deepEqual([offline.code, offline.err], [0, ''], offline.out);
  assert.match(offline.out, /^intact: \d+ records, 1 to \d+, signed through \d+\n$/);
  const [one] = exported.out.split('\n');
  const shown = await admin('show', '1', '--json');
  assert.deepEqual(JSON.parse(one ?? ''), JSON.parse(shown.out), 'a line is the record as the API shows it');
  writeFileSync(file, exported.out.replace('"subject":"administrator"', '"subject":"nobody"'));
  const changed = await audit(['verify', '--records', file, '--key', key]);
  assert.equal(changed.code, 1);
  assert.match(changed.out, /^broken at record \d+: altered: /);
  const cef = await admin('export', '--format', 'cef', '--project', 'demo');
  assert.equal(cef.code, 0, cef.err);
  assert.ok(
    cef.out
      .trim()
      .split('\n')
      .every((line) => line.startsWith('CEF:0|Beamway|gateway|1|')),
  );
  assert.equal((await audit(['verify', '--records', join(folder, 'nothing')])).code, 2);
});

test('lists are filtered, and prune keeps what is young', { timeout: 120_000 }, async () => {
  const denied = await audit(['list', '--denied', '--json'], mine.value);
  assert.deepEqual([denied.code, JSON.parse(denied.out)], [0, { records: [], next: null }]);
  assert.equal((await audit(['verify'], mine.value)).code, 3, 'a project’s token may not verify the whole log');
  const after_ = await audit(['list', '--denied', '--caller', mine.id, '--json'], mine.value);
  const { records } = JSON.parse(after_.out) as Result<'audit.list'>;
  assert.deepEqual(
    records.map((r) => [r.action, r.status]),
    [['audit.verify', 403]],
  );
  const kept = await audit([
    'prune',
    '--state',
    beamway.state,
    '--facility',
    join(import.meta.dirname, '../../facility'),
  ]);
  assert.deepEqual([kept.code, kept.err], [0, '']);
  assert.match(kept.out, /nothing is older than 365 days/);
});
