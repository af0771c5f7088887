// What is done to a stream behind the gateway of a real RabbitMQ while it runs: its quota, pause, and draining.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { connect, MIB, portOf, rabbitLease, testBroker, until, whyNoRabbit } from './rabbitmq.fixture.ts';

const skip = whyNoRabbit;
const timeout = 60_000;
const place = mkdtempSync(join(tmpdir(), 'beamway-rabbit-controls-'));
const folder = join(place, 'node');
let node: ReturnType<typeof testBroker>;

before(async () => {
  if (skip !== false) return;
  node = testBroker(folder);
  // The first stream starts the enclave's RabbitMQ; it is asked again, as an agent does, until it is there.
  const first = rabbitLease();
  await node.broker.ensure(first, []);
  assert.equal(node.broker.observe()[0]?.state, 'starting');
  await until('RabbitMQ is up', () => node.broker.observe()[0]?.state === 'ready', 60_000);
  assert.ok(node.changes() > 0, 'the agent is told');
  await node.broker.close(first.stream, 'warm now');
});
after(async () => {
  await node?.broker.stop();
  rmSync(place, { recursive: true, force: true });
});

afterEach(async () => {
  for (const { stream } of node?.broker.observe() ?? []) await node.broker.close(stream, 'the test is over');
});

async function opened(over: Parameters<typeof rabbitLease>[0] = {}) {
  const lease = rabbitLease(over);
  await node.broker.ensure(lease, []);
  const seen = () => node.broker.observe().find((o) => o.stream === lease.stream);
  return { lease, port: portOf(node.broker, lease.stream), seen };
}

test('at its message quota a producer hears the confirms of what was taken, then why it is closed; consumers get all of it', {
  skip,
  timeout,
}, async () => {
  const { port, seen } = await opened({ messageQuota: 20 });
  const pro = await connect(port, 'pro');
  const channel = await pro.connection.createConfirmChannel();
  channel.on('error', () => undefined);
  let confirmed = 0;
  for (let i = 0; i < 30; i++)
    channel.sendToQueue('frames', Buffer.alloc(200_000, i), {}, (cause: unknown) => {
      if (cause === null) confirmed += 1;
    });
  await until('it is closed', () => pro.errors.length > 0);
  assert.match(pro.errors.join(), /CONNECTION_FORCED - the stream's messageQuota of 20 is used up/);
  assert.equal(confirmed, 20);
  await assert.rejects(connect(port, 'pro'), /ACCESS_REFUSED - the stream's messageQuota of 20/);
  const con = await connect(port, 'con');
  const into = await con.connection.createChannel();
  for (let i = 0; i < 20; i++) {
    const message = await into.get('frames', { noAck: true });
    assert.ok(message !== false && message.content.equals(Buffer.alloc(200_000, i)), String(i));
  }
  assert.equal(await into.get('frames', { noAck: true }), false);
  assert.deepEqual(seen()?.usage?.messages, 20);
  await con.connection.close();
});

test('an AMQP connection lives through a pause of five heartbeats, in the middle of what it sends; what it sent arrives, once and in order', {
  skip,
  timeout,
}, async () => {
  const { lease, port, seen } = await opened({ bufferBytes: 512 * MIB });
  const [pro, con] = [await connect(port, 'pro', { heartbeat: 1 }), await connect(port, 'con', { heartbeat: 1 })];
  const channel = await pro.connection.createConfirmChannel();
  const publish = (i: number) => channel.sendToQueue('frames', Buffer.alloc(300_000, i));
  for (let i = 0; i < 60; i++) {
    publish(i);
    // In the middle: the gateway has some of it, a part of a frame too.
    if (i === 20) await node.broker.ensure({ ...lease, paused: true }, []);
  }
  const into = await con.connection.createChannel();
  const got: number[] = [];
  await into.consume('frames', (message) => void (message !== null && got.push(message.content[0] ?? -1)), {
    noAck: true,
  });
  const late = await connect(port, 'pro', { heartbeat: 1 });
  await until('at rest', async () => {
    const before = seen()?.usage?.bytes;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return seen()?.usage?.bytes === before;
  });
  const atRest = seen()?.usage;
  assert.ok((atRest?.messages ?? 60) < 60, 'some of it waits');
  const since = performance.now();
  await until('five intervals passed', () => performance.now() - since > 5000);
  assert.deepEqual(seen()?.usage, atRest);
  assert.deepEqual([...pro.errors, ...con.errors, ...late.errors], []);
  assert.equal(seen()?.connections.length, 3);
  await node.broker.ensure(lease, []);
  await channel.waitForConfirms();
  await until('all of it came', () => got.length === 60);
  assert.deepEqual(
    got,
    Array.from({ length: 60 }, (_, i) => i),
  );
  assert.deepEqual([...pro.errors, ...con.errors, ...late.errors], []);
  for (const { connection } of [pro, con, late]) await connection.close();
});

test('draining: AMQP producers are told why and refused, consumers get what is there', { skip, timeout }, async () => {
  const { lease, port, seen } = await opened();
  const [pro, con] = [await connect(port, 'pro'), await connect(port, 'con')];
  const channel = await pro.connection.createConfirmChannel();
  channel.on('error', () => undefined);
  channel.sendToQueue('frames', Buffer.from('x'));
  await channel.waitForConfirms();
  await node.broker.ensure({ ...lease, draining: true }, []);
  await until('the producer is told', () => /the stream is draining/.test(pro.errors.join()));
  await assert.rejects(connect(port, 'pro'), /ACCESS_REFUSED - the stream is draining/);
  const into = await con.connection.createChannel();
  assert.notEqual(await into.get('frames', { noAck: true }), false);
  assert.equal(seen()?.counters.consumers, 1);
  await con.connection.close();
});

test('a smaller buffer refuses what is beyond it and keeps what is there; a larger one takes it', {
  skip,
  timeout,
}, async () => {
  const { lease, port } = await opened({ bufferBytes: 8 * MIB });
  const { connection } = await connect(port, 'pro');
  const channel = await connection.createConfirmChannel();
  const put = () =>
    new Promise<boolean>((resolve) =>
      channel.sendToQueue('frames', Buffer.alloc(MIB), {}, (cause: unknown) => resolve(cause === null)),
    );
  let taken = 0;
  for (let i = 0; i < 6; i++) if (await put()) taken += 1;
  assert.equal(taken, 6);
  await node.broker.ensure({ ...lease, bufferBytes: 2 * MIB }, []);
  await until('it refuses', async () => {
    const was = await put();
    if (was) taken += 1;
    return !was;
  });
  assert.equal((await channel.checkQueue('frames')).messageCount, taken);
  await node.broker.ensure({ ...lease, bufferBytes: 64 * MIB }, []);
  await until('it takes again', put);
  taken += 1;
  assert.equal((await channel.checkQueue('frames')).messageCount, taken);
  await connection.close();
});
