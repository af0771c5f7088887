// `beamway up` as an operator meets it: killed, ended, started twice, started wrongly, and what it leaves behind.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createClient } from '../../clients/typescript/src/index.ts';
import { admitted, credentialFor, eventOf, frameOf, numberOf, pullFrom, pushTo, readyStream } from './libzmq.ts';
import {
  copyFacility,
  isAlive,
  LAUNCHER,
  processesOf,
  spawnUp,
  startBeamway,
  temporaryFolder,
  until,
} from './start-beamway.ts';

const SERVICES = '/var/lib/beamway';
const temporary = temporaryFolder(0o777);
after(() => rmSync(temporary, { recursive: true, force: true }));
const beamway = await startBeamway({ after }, { env: { TMPDIR: temporary } });

const read = (...path: readonly string[]): unknown => JSON.parse(readFileSync(join(beamway.state, ...path), 'utf8'));
/** The database's own process, by the file it keeps beside its data. */
const postmaster = (): number =>
  Number(readFileSync(join(beamway.state, 'database/data/postmaster.pid'), 'utf8').split('\n')[0]);

async function beamwayCommand(
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const child = spawn(LAUNCHER, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
  const text = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text.out += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text.err += part;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...text };
}

test('killed, the control plane is missed by no frame and no job; started again, it adopts all of them under the same URL', {
  timeout: 90_000,
}, async (t) => {
  const { client, value } = await beamway.mint();
  const { id } = await readyStream(client, 'lcls-results');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  const pull = pullFrom(t, await credentialFor(client, id, 'consumer'));
  await Promise.all([push, pull].map(admitted));
  let cuts = 0;
  for (const socket of [push, pull]) socket.events.on('disconnect', () => (cuts += 1));
  const job = await client.call('job.submit', { body: { script: '#!/bin/sh\necho $$\nexec sleep 600\n' } });
  const pidOfJob = await until('the job tells its pid', async () => {
    const { text } = await client.call('job.output', { params: { id: job.id } }).catch(() => ({ text: '' }));
    return text.endsWith('\n') && Number(text);
  });
  const before = { url: beamway.url(), node: beamway.node(), postmaster: postmaster(), pid: beamway.pid() };

  await beamway.kill();
  assert.ok(!isAlive(before.pid));
  for (let i = 0; i < 100; i++) {
    await push.send(frameOf(i, 10_000));
    const [frame] = await pull.receive();
    assert.equal(numberOf(frame ?? Buffer.alloc(4)), i);
  }
  assert.ok(isAlive(pidOfJob));
  await beamway.restart();
  assert.deepEqual(
    { url: beamway.url(), node: beamway.node(), postmaster: postmaster() },
    { url: before.url, node: before.node, postmaster: before.postmaster },
  );
  assert.notEqual(beamway.pid(), before.pid);
  const again = createClient({ url: before.url, token: value });
  const running = await again.call('job.show', { params: { id: job.id } });
  assert.equal(running.state, 'running');
  assert.equal(running.attempts.length, 1);
  assert.ok(isAlive(pidOfJob), 'the job is still the same process');
  assert.equal(cuts, 0, 'no connection of the stream was cut');
  await until(
    'the stream is seen again',
    async () => (await again.call('stream.show', { params: { id } })).state === 'ready',
  );
  await again.call('job.cancel', { params: { id: job.id } });
  await until('the adopted job ends', () => !isAlive(pidOfJob));
  await again.call('stream.delete', { params: { id } });
});

test('killed, the database comes back by itself, and frames did not wait for it', { timeout: 90_000 }, async (t) => {
  const { client } = await beamway.mint();
  const { id } = await readyStream(client, 'lcls-results');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  const pull = pullFrom(t, await credentialFor(client, id, 'consumer'));
  await Promise.all([push, pull].map(admitted));
  const killed = postmaster();
  process.kill(killed, 'SIGKILL');
  await push.send('meanwhile');
  assert.equal(String((await pull.receive())[0]), 'meanwhile');
  const began = performance.now();
  await until('the front door answers again', async () => {
    const job = await client.call('job.submit', { body: { script: '#!/bin/sh\n' } }).catch(() => undefined);
    return job?.id;
  });
  t.diagnostic(`a job was accepted ${(performance.now() - began).toFixed(0)} ms after the database was killed`);
  assert.notEqual(postmaster(), killed);
  assert.ok(isAlive(beamway.pid()));
  const audit = await until('the audit chain can be read', () =>
    beamway
      .admin()
      .call('audit.verify')
      .catch(() => undefined),
  );
  assert.equal(audit.intact, true);
  await until(
    'the node is linked',
    async () => (await client.call('stream.show', { params: { id } })).state === 'ready',
  );
  await client.call('stream.delete', { params: { id } });
});

test('a second start on the same state is refused, and the first goes on', { timeout: 60_000 }, async () => {
  const second = await spawnUp(beamway.state);
  assert.ok('code' in second);
  assert.equal(second.code, 1);
  assert.match(second.said(), new RegExp(`another beamway up \\(pid ${beamway.pid()}\\) uses `));
  assert.ok((await beamway.mint()).id.startsWith('tok_'));
});

test('a port in use is said so, and nothing is left running', { timeout: 60_000 }, async (t) => {
  const taken = createServer();
  t.after(() => taken.close());
  taken.listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const folder = temporaryFolder();
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const up = await spawnUp(join(folder, 'state'), { listen: `127.0.0.1:${port}` });
  assert.ok('code' in up);
  assert.equal(up.code, 1);
  assert.match(up.said(), new RegExp(`EADDRINUSE.*127.0.0.1:${port}`));
  assert.deepEqual(processesOf(folder), []);
});

test('a faulty facility is named by file and line, with exit 2, and nothing is started', {
  timeout: 60_000,
}, async (t) => {
  const folder = temporaryFolder();
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const facility = copyFacility(join(folder, 'facility'));
  const seeker = join(facility, 'environments/seeker.yaml');
  writeFileSync(seeker, readFileSync(seeker, 'utf8').replace('[lcls-frames,', '[lclstreamer, lcls-frames,'));
  const up = await spawnUp(join(folder, 'state'), { facility });
  assert.ok('code' in up);
  assert.equal(up.code, 2, up.said());
  assert.match(up.said(), /environments\/seeker\.yaml:1:1: .*open enclave only/);
  const main = join(facility, 'facility.yaml');
  writeFileSync(main, readFileSync(main, 'utf8').replace('slots: 4 }', 'slots: none }'));
  const line =
    readFileSync(main, 'utf8')
      .split('\n')
      .findIndex((l) => l.includes('none')) + 1;
  const worse = await spawnUp(join(folder, 'state'), { facility });
  assert.ok('code' in worse);
  assert.equal(worse.code, 2);
  assert.match(worse.said(), new RegExp(`facility\\.yaml:${line}:\\d+: .*slots`));
  assert.deepEqual(processesOf(folder), []);
  const check = await beamwayCommand(['check', '--facility', facility]);
  assert.equal(check.code, 1);
  assert.match(check.out, new RegExp(`facility\\.yaml:${line}:`));
  const settings = await spawnUp(join(folder, 'state'), { listen: '0.0.0.0:0' });
  assert.ok('code' in settings && settings.code === 2);
  assert.match(settings.said(), /loopback only/);
});

test('the first administrator can be made while the system runs and while it is stopped', {
  timeout: 90_000,
}, async () => {
  const running = await beamwayCommand(['admin', 'init', '--state', beamway.state, '--json']);
  assert.equal(running.code, 0, running.err);
  const first = JSON.parse(running.out) as { id: string; value: string };
  const self = (value: string) => createClient({ url: beamway.url(), token: value }).call('self.show');
  assert.deepEqual((await self(first.value)).roles, ['administrator']);
  assert.equal(await beamway.stop(), 0);
  const stopped = await beamwayCommand(['admin', 'init', '--state', beamway.state]);
  assert.equal(stopped.code, 0, stopped.err);
  assert.deepEqual(processesOf(beamway.state), [], 'the database it started for the moment is gone');
  const wrong = await beamwayCommand(['admin', 'init', '--state', beamway.state, '--lifetime-hours', '25']);
  assert.equal(wrong.code, 2);
  await beamway.restart();
  assert.deepEqual((await self(stopped.out.trim())).roles, ['administrator']);
  assert.equal((await self(first.value)).id, first.id);
});

test('SIGTERM ends everything it started and nothing else, and leaves nothing outside its state', {
  timeout: 90_000,
}, async (t) => {
  const bystander = spawn('/bin/sleep', ['600'], { stdio: 'ignore', env: { STATE: beamway.state } });
  t.after(() => void bystander.kill('SIGKILL'));
  // Where services of root's would go, by the hash of the state's path; and what it took for its temporary folder.
  const place = createHash('sha256').update(beamway.state).digest('hex').slice(0, 12);
  const outside = (): readonly string[] => [
    ...(existsSync(SERVICES) ? readdirSync(SERVICES).filter((name) => name.startsWith(place)) : []),
    ...readdirSync(temporary),
  ];
  const { client } = await beamway.mint();
  const { id, endpoints } = await readyStream(client, 'lcls-results');
  const push = pushTo(t, await credentialFor(client, id, 'producer'));
  await admitted(push);
  const job = await client.call('job.submit', {
    body: { script: '#!/bin/sh\n(trap "" TERM HUP; while :; do sleep 1; done) &\nexec sleep 600\n' },
  });
  await until(
    'the job runs',
    async () => (await client.call('job.show', { params: { id: job.id } })).state === 'running',
  );
  const started = processesOf(beamway.state).filter((pid) => pid !== bystander.pid);
  assert.ok(started.length >= 4, 'control plane, database, agent, job');
  const pids = { postmaster: postmaster(), node: (read('nodes', 'dsn01', 'process.json') as { pid: number }).pid };
  const url = beamway.url();
  const cut = eventOf(push, 'disconnect');
  assert.equal(await beamway.stop(), 0);
  await cut;
  await until(
    'every process is gone',
    () => processesOf(beamway.state).filter((pid) => pid !== bystander.pid).length === 0,
  );
  assert.ok(!isAlive(pids.postmaster) && !isAlive(pids.node));
  assert.ok(started.every((pid) => !isAlive(pid)));
  assert.ok(isAlive(bystander.pid ?? 0), 'a process that only names the state folder is none of ours');
  for (const address of [url, (endpoints['producer'] ?? '').replace('tcp:', 'http:')])
    await assert.rejects(
      fetch(address),
      (error: Error) => String((error.cause as { code?: string }).code) === 'ECONNREFUSED',
    );
  assert.deepEqual(outside(), []);
});

const root = process.getuid?.() === 0;

test('started by root under a folder that is closed to others, everything works, jobs included', {
  timeout: 90_000,
  skip: root ? false : 'needs root',
}, async (t) => {
  // Outside --dev jobs of root's run as nobody, who must reach their folders too.
  const closed = await startBeamway(t, { folderMode: 0o700, dev: false });
  const { out } = await beamwayCommand(['admin', 'init', '--state', closed.state]);
  const admin = createClient({ url: closed.url(), token: out.trim() });
  const body = {
    project: 'demo',
    environments: ['ace'],
    scopes: ['job:submit', 'job:read', 'stream:create', 'stream:read'],
    lifetimeSeconds: 600,
  };
  const client = createClient({ url: closed.url(), token: (await admin.call('token.mint', { body })).value });
  await readyStream(client, 'lcls-results');
  const job = await client.call('job.submit', { body: { script: '#!/bin/sh\nid -u\npwd\n' } });
  await until('the job ends', async () => {
    const { state, reason } = await client.call('job.show', { params: { id: job.id } });
    assert.notEqual(state, 'failed', reason);
    return state === 'completed';
  });
  const { text } = await client.call('job.output', { params: { id: job.id } });
  assert.notEqual(Number(text.split('\n')[0]), 0, 'no job of a stranger runs as root');
});

function nobody(): { readonly uid: number; readonly gid: number } | undefined {
  const [, , uid, gid] =
    readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((l) => l.startsWith('nobody:'))
      ?.split(':') ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

async function mayRead(user: { readonly uid: number; readonly gid: number }): Promise<boolean> {
  const child = spawn(LAUNCHER, ['--version'], { stdio: 'ignore', cwd: '/', ...user });
  const [code] = (await once(child, 'exit').catch(() => [1])) as [number | null];
  return code === 0;
}

test('without root everything works', { timeout: 90_000 }, async (t) => {
  const user = nobody();
  if (!root) return t.skip('the other tests of this file have shown it');
  if (user === undefined || !(await mayRead(user))) return t.skip('the checkout cannot be read by nobody');
  const own = await startBeamway(t, { user, env: { HOME: '/nonexistent' } });
  const { client } = await own.mint();
  await readyStream(client, 'lcls-results');
  const job = await client.call('job.submit', { body: { script: '#!/bin/sh\nid -u\n' } });
  await until(
    'the job ends',
    async () => (await client.call('job.show', { params: { id: job.id } })).state === 'completed',
  );
  assert.equal(Number((await client.call('job.output', { params: { id: job.id } })).text), user.uid);
  assert.equal(readFileSync(`/proc/${own.node().pid}/status`, 'utf8').match(/^Uid:\s+(\d+)/m)?.[1], String(user.uid));
});
