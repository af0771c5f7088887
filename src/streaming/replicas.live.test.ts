// Two replicas of the control plane on one database, and one real agent that is linked to the second of them only.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Push } from 'zeromq';
import { type Client, createClient } from '../../clients/typescript/src/index.ts';
import { testDatabase } from '../database/testing.ts';
import { issueNodeBearer, issueToken, systemCaller } from '../identity/index.ts';
import { startNode } from '../node.ts';
import { MIGRATIONS, type RunningServer, startServer } from '../server.ts';

const FACILITY = fileURLToPath(new URL('../../facility', import.meta.url));
const REVOKE_AND_DIE = fileURLToPath(new URL('revoke-and-die.fixture.ts', import.meta.url));
const PATIENCE_MS = 20_000;

const dir = mkdtempSync(join(tmpdir(), 'beamway-replicas-'));
const { embedded } = await testDatabase({ after }, MIGRATIONS);
const target = { embedded };
const start = (name: string): Promise<RunningServer> => {
  mkdirSync(join(dir, name));
  // Every replica needs the same keys.
  if (existsSync(join(dir, 'a', 'keys'))) cpSync(join(dir, 'a', 'keys'), join(dir, name, 'keys'), { recursive: true });
  return startServer({
    stateDir: join(dir, name),
    facilityDir: FACILITY,
    listen: { host: '127.0.0.1', port: 0 },
    target,
    limitFactor: 100,
    logLevel: 'silent',
  });
};
const replicas = [await start('a'), await start('b')] as const;
const { value: bearer } = await issueNodeBearer(replicas[1].issue, { name: 'dsn01', lifetimeSeconds: 600, by: 'test' });
const linkFile = join(dir, 'link.json');
writeFileSync(linkFile, JSON.stringify({ url: replicas[1].url, bearer }), { mode: 0o600 });
const node = await startNode({
  name: 'dsn01',
  stateDir: join(dir, 'node'),
  linkFile,
  external: '127.0.0.1',
  compute: '127.0.0.1',
  portRange: { from: 0, to: 0 },
  logLevel: 'silent',
});

after(async () => {
  await node.stop();
  for (const replica of replicas) await replica.stop({ endJobs: true });
  rmSync(dir, { recursive: true, force: true });
});

/** A client of one replica with a token of its own, or with `value`. */
async function clientOf(which: 0 | 1): Promise<{ readonly client: Client; readonly token: string }> {
  const replica = replicas[which];
  const { token, value } = await issueToken(replica.issue, systemCaller('test'), {
    project: 'demo',
    environments: ['ace'],
    scopes: ['stream:create', 'stream:read', 'stream:connect'],
    lifetimeSeconds: 600,
  });
  return { client: createClient({ url: replica.url, token: value, tries: 20 }), token: token.id };
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
    await pause(20);
  }
}

async function readyStream(client: Client): Promise<string> {
  const { id } = await client.call('stream.create', { body: { name: 'a', template: 'lcls-results' } });
  const ready = await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
  assert.equal(ready.state, 'ready', ready.reason);
  return id;
}

test('a change made through one replica reaches the agent linked to the other', { timeout: 60_000 }, async (t) => {
  const { client } = await clientOf(0);
  await until('the node is linked', async () => (await client.call('node.list').catch(() => undefined)) ?? true);
  const id = await readyStream(client);
  const began = performance.now();
  const credential = await client.call('stream.credential', { params: { id }, body: { role: 'producer' } });
  assert.ok(credential.active, 'the node has it when the answer comes');
  t.diagnostic(
    `credential made through one replica, at the other's node after ${(performance.now() - began).toFixed(0)} ms`,
  );
  const released = performance.now();
  await client.call('stream.delete', { params: { id } });
  const gone = await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
  assert.equal(gone.state, 'released');
  t.diagnostic(`released after ${(performance.now() - released).toFixed(0)} ms`);
});

test('a revocation cuts connections even when the replica that made it dies right after commit', {
  timeout: 60_000,
}, async (t) => {
  const { client: owner } = await clientOf(0);
  const id = await readyStream(owner);
  const { client: other, token } = await clientOf(1);
  const { endpoint, username, password } = await other.call('stream.credential', {
    params: { id },
    body: { role: 'producer' },
  });
  const push = new Push({ plainUsername: username, plainPassword: password, linger: 0 });
  t.after(() => push.close());
  push.connect(endpoint);
  const connections = async (): Promise<readonly string[]> =>
    (await owner.call('stream.show', { params: { id } })).connections.map((c) => c.credential);
  await until('the producer is connected', async () => ((await connections()).includes(username) ? true : undefined));
  const cut = new Promise<void>((resolve) => push.events.on('disconnect', () => resolve()));
  const child = spawn(process.execPath, [REVOKE_AND_DIE, JSON.stringify({ target, token })], { stdio: 'inherit' });
  const [, killedBy] = await once(child, 'exit');
  assert.equal(killedBy, 'SIGKILL');
  const began = performance.now();
  await cut;
  t.diagnostic(`cut ${(performance.now() - began).toFixed(0)} ms after the revoking process was gone`);
  const refused = await until('it is refused when it comes again', async () => {
    const { counters } = await owner.call('stream.show', { params: { id } });
    return (counters?.refused ?? 0) > 0 ? counters?.refused : undefined;
  });
  assert.ok(refused > 0);
  await assert.rejects(other.call('self.show'), { code: 'token-revoked' });
});
