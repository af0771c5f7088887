// What is done to a stream while it runs, on a whole system: its quota, pause and resume, and draining, over the deaths of agent and control plane.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, test } from 'node:test';
import { createClient as redisClient } from '@redis/client';
import { BeamwayProblem, type Client, createClient, type Result } from '../../clients/typescript/src/index.ts';
import { admitted, credentialFor, pullFrom, pushTo, readyStream } from './libzmq.ts';
import { LAUNCHER, startBeamway, until } from './start-beamway.ts';

const skip = existsSync('/usr/bin/redis-server') ? false : 'no redis-server; Debian: apt install redis-server';
const beamway = skip === false ? await startBeamway({ after }) : undefined;
const timeout = 90_000;

async function connect({ endpoint, username, password, authority }: Result<'stream.credential'>) {
  const { hostname: host, port } = new URL(endpoint);
  const tls = { tls: true, ca: authority ?? '', host, port: Number(port) } as const;
  const client = redisClient({ username, password, socket: { ...tls, reconnectStrategy: false } });
  client.on('error', () => undefined);
  await client.connect();
  after(() => {
    if (client.isOpen) client.destroy();
  });
  return client;
}

const show = (client: Client, id: string) => client.call('stream.show', { params: { id } });
const inState = (client: Client, id: string, state: string) =>
  until(`${id} is ${state}`, async () => {
    const now = await show(client, id);
    return now.state === state && now;
  });
const eventsOf = async (id: string, action: string) => {
  assert.ok(beamway !== undefined);
  const { records } = await beamway.admin().call('audit.list', { query: { action } });
  return records.filter((r) => r.resource === `stream/${id}`);
};

test('a quota is said to be used up once, counts survive the agent’s SIGKILL, and the view tells used and of how much', {
  skip,
  timeout,
}, async () => {
  assert.ok(beamway !== undefined);
  const { client } = await beamway.mint();
  const { id } = await readyStream(client, 'steering', { messageQuota: 5 });
  const credential = await credentialFor(client, id, 'producer');
  const pro = await connect(credential);
  for (let i = 0; i < 5; i++) await pro.xAdd('frames', '*', { f: String(i) });
  const { usage, reason } = await until('its use is seen', async () => {
    const now = await show(client, id);
    return now.usage?.reached !== '' && now.usage !== null && now;
  });
  assert.deepEqual([usage?.messages, usage?.messageQuota], [5, 5]);
  assert.match(reason, /messageQuota of 5 is used up/);
  await until('it is recorded', async () => (await eventsOf(id, 'stream.quota-reached')).length > 0);
  process.kill(beamway.node().pid, 'SIGKILL');
  const con = await credentialFor(client, id, 'consumer');
  const reader = await until('the node is back', () => connect(con).catch(() => undefined));
  assert.equal(await reader.xLen('frames'), 5);
  await assert.rejects(connect(credential), /messageQuota of 5/);
  const changed = await client.call('stream.set', { params: { id }, body: { parameters: { messageQuota: 6 } } });
  assert.equal(changed.parameters['messageQuota'], 6);
  const more = await until('there is more of it', () => connect(credential).catch(() => undefined));
  await more.xAdd('frames', '*', { f: 'one more' });
  const [record] = await eventsOf(id, 'stream.changed');
  assert.deepEqual([record?.detail['before'], record?.detail['after']], [{ messageQuota: 5 }, { messageQuota: 6 }]);
  await until('it has reported again', async () => (await show(client, id)).usage?.messages === 6);
  await until('it is said of the new quota too, and of each once', async () => {
    const said = await eventsOf(id, 'stream.quota-reached');
    assert.ok(said.length <= 2);
    return said.length === 2;
  });
  await client.call('stream.delete', { params: { id } });
});

test('a stream that is paused stays so over the deaths of agent and control plane, and goes on when it is resumed', {
  skip,
  timeout,
}, async () => {
  assert.ok(beamway !== undefined);
  const { client: first, value } = await beamway.mint();
  const { id } = await readyStream(first, 'steering');
  const credential = await credentialFor(first, id, 'producer');
  const con = await credentialFor(first, id, 'consumer');
  const env = { ...process.env, BEAMWAY_URL: beamway.url(), BEAMWAY_TOKEN: value };
  const paused = spawnSync(LAUNCHER, ['stream', 'pause', id], { env, encoding: 'utf8' });
  assert.equal(paused.stdout, `${id} paused\n`, paused.stderr);
  await beamway.kill();
  await beamway.restart();
  const client = createClient({ url: beamway.url(), token: value });
  await inState(client, id, 'paused');
  process.kill(beamway.node().pid, 'SIGKILL');
  const pro = await until('the node is back', () => connect(credential).catch(() => undefined));
  let answered = false;
  const waiting = pro.xAdd('frames', '*', { f: 'x' }).then(() => {
    answered = true;
  });
  const reader = await connect(con);
  for (let i = 0; i < 50; i++) assert.equal(await reader.xLen('frames'), 0);
  assert.equal(answered, false);
  await client.call('stream.resume', { params: { id } });
  await waiting;
  assert.equal(await reader.xLen('frames'), 1);
  await inState(client, id, 'ready');
  await client.call('stream.delete', { params: { id } });
});

test('a draining stream takes nothing more in, survives the deaths of agent and control plane, and is released once consumers have it all', {
  skip,
  timeout,
}, async () => {
  assert.ok(beamway !== undefined);
  const { client: first, value } = await beamway.mint();
  const { id } = await readyStream(first, 'steering');
  const credential = await credentialFor(first, id, 'producer');
  const con = await credentialFor(first, id, 'consumer');
  const pro = await connect(credential);
  for (let i = 0; i < 7; i++) await pro.xAdd('frames', '*', { f: String(i) });
  await first.call('stream.drain', { params: { id }, body: { withinSeconds: 300 } });
  await until('the producer is cut', () => !pro.isOpen);
  await beamway.kill();
  await beamway.restart();
  const client = createClient({ url: beamway.url(), token: value });
  const problem = (pattern: RegExp) => (cause: unknown) =>
    cause instanceof BeamwayProblem && pattern.test(cause.message);
  await assert.rejects(credentialFor(client, id, 'producer'), problem(/draining/));
  await assert.rejects(
    client.call('stream.extend', { params: { id }, body: { lifetimeSeconds: 600 } }),
    problem(/draining/),
  );
  process.kill(beamway.node().pid, 'SIGKILL');
  const reader = await until('the node is back', () => connect(con).catch(() => undefined));
  await assert.rejects(connect(credential), /the stream is draining/);
  await until('it says what is left', async () => /^7 messages/.test((await inState(client, id, 'draining')).reason));
  assert.equal(await reader.xLen('frames'), 7);
  await reader.xTrim('frames', 'MAXLEN', 0);
  const { reason } = await inState(client, id, 'released');
  assert.equal(reason, 'it was drained');
  assert.equal((await eventsOf(id, 'stream.drained')).length, 1);
});

test('a relay is drained into its consumer; one that nobody reads ends when its time is over, and says how much was left', {
  skip,
  timeout,
}, async (t) => {
  assert.ok(beamway !== undefined);
  const { client } = await beamway.mint();
  const { id } = await readyStream(client, 'lcls-results');
  const producer = pushTo(t, await credentialFor(client, id, 'producer'));
  const consumerCredential = await credentialFor(client, id, 'consumer');
  for (let i = 0; i < 20; i++) await producer.send(Buffer.alloc(1000, i));
  await until('it is there', async () => (await show(client, id)).counters?.buffered === 20);
  await client.call('stream.drain', { params: { id }, body: { withinSeconds: 300 } });
  const consumer = pullFrom(t, consumerCredential);
  await admitted(consumer);
  for (let i = 0; i < 20; i++) assert.deepEqual(await consumer.receive(), [Buffer.alloc(1000, i)]);
  consumer.close();
  assert.equal((await inState(client, id, 'released')).reason, 'it was drained');
  const other = await readyStream(client, 'lcls-results');
  const pushing = pushTo(t, await credentialFor(client, other.id, 'producer'));
  await pushing.send('left');
  await until('it is there', async () => (await show(client, other.id)).counters?.buffered === 1);
  await client.call('stream.drain', { params: { id: other.id }, body: { withinSeconds: 2 } });
  assert.match((await inState(client, other.id, 'released')).reason, /as long as was asked; 1 messages were left/);
});

test('nobody of ours is between in the modes direct and l4: no pause, and what to do instead is said', {
  skip: skip || (existsSync('/usr/sbin/rabbitmq-server') ? false : 'no RabbitMQ'),
  timeout,
}, async () => {
  assert.ok(beamway !== undefined);
  const { client } = await beamway.mint();
  const { id } = await client.call('stream.create', { body: { name: 'd', template: 'rabbitmq-dedicated' } });
  await assert.rejects(
    client.call('stream.pause', { params: { id } }),
    (cause) => cause instanceof BeamwayProblem && /mode direct.*release .* --drain/.test(cause.message),
  );
  await client.call('stream.delete', { params: { id } });
});
