// The rabbitmq engine with a real RabbitMQ: who gets in, what each role may do, what passes, what a full buffer does, how revoking cuts, how a killed broker comes back, and what is left of it all.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { Channel } from 'amqplib';
import { identityOf } from '../../process-identity.ts';
import {
  connect,
  credential,
  digest,
  MIB,
  portOf,
  rabbitLease,
  testBroker,
  until,
  whyNoRabbit,
} from './rabbitmq.fixture.ts';

const skip = whyNoRabbit;
const timeout = 60_000;
const place = mkdtempSync(join(tmpdir(), 'beamway-rabbit-'));
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

test('on a warm RabbitMQ a stream is there at once, with its first queue', { skip, timeout }, async () => {
  const began = performance.now();
  const { port, seen } = await opened();
  const { connection } = await connect(port, 'con');
  const channel = await connection.createChannel();
  assert.equal((await channel.checkQueue('frames')).messageCount, 0);
  // Printed, not asserted: it is a figure.
  process.stdout.write(`# warm: stream and first connection in ${(performance.now() - began).toFixed(0)} ms\n`);
  assert.equal(seen()?.state, 'ready');
  assert.match(seen()?.endpoints['producer'] ?? '', /^amqp:\/\/127\.0\.0\.1:\d+$/);
  await connection.close();
});

test('octets arrive as they were sent, in order, confirmed, past a consumer that stops now and then', {
  skip,
  timeout,
}, async () => {
  const { port, seen } = await opened({ bufferBytes: 512 * MIB });
  const [pro, con] = [await connect(port, 'pro'), await connect(port, 'con')];
  const [sent, got] = [createHash('sha256'), createHash('sha256')];
  const COUNT = 300;
  const out = await pro.connection.createConfirmChannel();
  const into = await con.connection.createChannel();
  await into.prefetch(16);
  let [received, acknowledged] = [0, 0];
  const all = new Promise<void>((resolve) => {
    void into.consume('frames', (message) => {
      if (message === null) return;
      got.update(message.content);
      received += 1;
      const acknowledge = (): void => {
        into.ack(message);
        acknowledged += 1;
        if (acknowledged === COUNT) resolve();
      };
      if (received % 13 === 0) setTimeout(acknowledge, 5);
      else acknowledge();
    });
  });
  for (let i = 0; i < COUNT; i++) {
    // One octet to 1 MiB, so that headers and bodies are cut at every place.
    const frame = randomBytes(1 + ((i * 104_729) % MIB));
    sent.update(frame);
    if (!out.sendToQueue('frames', frame)) await new Promise((resolve) => out.once('drain', resolve));
  }
  await out.waitForConfirms();
  await all;
  assert.equal(got.digest('hex'), sent.digest('hex'));
  await until('it is seen', () => seen()?.counters.messagesOut === COUNT);
  assert.equal(seen()?.counters.messagesIn, COUNT);
  await until('the buffer is empty', () => seen()?.counters.buffered === 0);
  await pro.connection.close();
  await con.connection.close();
});

/** The text with which a channel or a connection is closed when `act` is refused. */
async function refusal(port: number, name: string, act: (channel: Channel) => Promise<unknown>): Promise<string> {
  const { connection, errors } = await connect(port, name);
  const channel = await connection.createChannel();
  channel.on('error', (cause: Error) => void errors.push(cause.message));
  await act(channel).catch((cause: Error) => errors.push(cause.message));
  await until('it is refused', () => errors.length > 0);
  await connection.close().catch(() => undefined);
  return errors.join(' ');
}

test('each role has its rights and no more: a producer takes nothing out, a consumer puts nothing in', {
  skip,
  timeout,
}, async () => {
  const { port } = await opened({ queues: 4 });
  const { connection } = await connect(port, 'con');
  const channel = await connection.createChannel();
  await channel.assertExchange('shots', 'fanout');
  const { queue } = await channel.assertQueue('');
  await channel.bindQueue(queue, 'shots', '');
  const pro = await connect(port, 'pro');
  const out = await pro.connection.createConfirmChannel();
  out.publish('shots', '', Buffer.from('a shot'));
  await out.waitForConfirms();
  const message = await new Promise<string>((resolve) => {
    void channel.consume(queue, (m) => resolve(String(m?.content)));
  });
  assert.equal(message, 'a shot');
  assert.match(await refusal(port, 'pro', (c) => c.consume('frames', () => undefined)), /403|ACCESS.REFUSED/i);
  assert.match(await refusal(port, 'pro', (c) => c.get('frames')), /403|ACCESS.REFUSED/i);
  assert.match(await refusal(port, 'pro', (c) => c.purgeQueue('frames')), /403|ACCESS.REFUSED/i);
  const publish = async (c: Channel): Promise<unknown> => c.publish('', 'frames', Buffer.from('x'));
  assert.match(await refusal(port, 'con', publish), /403|ACCESS.REFUSED/i);
  await connection.close();
  await pro.connection.close();
});

test('who has no credential, a wrong or expired one, comes from elsewhere, or names another virtual host, is told so', {
  skip,
  timeout,
}, async () => {
  const { lease, port, seen } = await opened({
    credentials: [credential('pro', 'producer'), credential('old', 'producer', -1000)],
  });
  const other = await opened();
  await assert.rejects(connect(port, 'pro', { password: 'wrong' }), /ACCESS.REFUSED.*user name or password is wrong/);
  await assert.rejects(connect(port, 'nobody'), /user name or password is wrong/);
  await assert.rejects(connect(port, 'old'), /the credential has expired/);
  // What it was told, amqplib keeps to itself at this point of the handshake.
  await assert.rejects(connect(port, 'pro', { vhost: other.lease.stream }), /got <ConnectionClose/);
  await until('it is recorded', () => node.events.some((e) => /one virtual host/.test(String(e.detail['reason']))));
  await node.broker.ensure({ ...lease, externalAddresses: ['192.0.2.0/24'] }, []);
  await assert.rejects(connect(port, 'pro'), /address 127\.0\.0\.1 is not listed/);
  await node.broker.ensure({ ...lease, externalShut: true }, []);
  await assert.rejects(connect(port, 'pro'), /locked down/);
  await until('all refusals are counted', () => (seen()?.counters.refused ?? 0) >= 6);
  // Named by its own id it is let in.
  await node.broker.ensure(lease, []);
  const { connection } = await connect(port, 'pro', { vhost: lease.stream });
  await connection.close();
});

test('the broker itself takes nobody who did not come through the gateway', { skip, timeout }, async () => {
  const { lease } = await opened();
  const kept = JSON.parse(readFileSync(join(folder, 'shared-open', 'kept.json'), 'utf8')) as {
    ports: { amqp: number };
    gatewaySecret: string;
  };
  const vhost = lease.stream;
  const port = kept.ports.amqp;
  await assert.rejects(connect(port, 'pro', { vhost }), /ACCESS.REFUSED/);
  const username = `${vhost}/producer/x`;
  await assert.rejects(connect(port, username, { vhost, password: 'guess' }), /ACCESS.REFUSED/);
  // With the gateway's secret, but for another stream's host.
  const other = await opened();
  const password = kept.gatewaySecret;
  await assert.rejects(connect(port, username, { vhost: other.lease.stream, password }), /got <ConnectionClose/);
});

test('a full buffer refuses what is put in, and says so; nothing that was taken is lost', {
  skip,
  timeout,
}, async () => {
  const { port, seen } = await opened({ bufferBytes: 8 * MIB });
  const { connection } = await connect(port, 'pro');
  const out = await connection.createConfirmChannel();
  let [taken, refused] = [0, 0];
  for (let i = 0; i < 24; i++)
    await new Promise<void>((resolve) => {
      out.sendToQueue('frames', randomBytes(MIB), {}, (cause: unknown) => {
        if (cause === null || cause === undefined) taken += 1;
        else refused += 1;
        resolve();
      });
    });
  assert.ok(taken >= 7 && taken <= 10 && refused === 24 - taken, `${taken} taken, ${refused} refused`);
  await until('it is seen', () => seen()?.counters.buffered === taken);
  assert.ok((seen()?.counters.bufferedBytes ?? 0) <= 9 * MIB);
  await connection.close();
});

test('a message that is too large ends the connection with words, before its content came', {
  skip,
  timeout,
}, async () => {
  const { port } = await opened({ maxMessageBytes: MIB });
  const { connection, errors } = await connect(port, 'pro');
  const closed = new Promise((resolve) => connection.once('close', resolve));
  const channel = await connection.createChannel();
  channel.on('error', () => undefined);
  channel.sendToQueue('frames', Buffer.alloc(MIB + 1));
  await closed;
  assert.match(errors.join(), /1048577 octets; at most 1048576/);
});

test('a revoked credential’s connections are told why and cut, though frames are under way; others stay; a job’s credential is fenced by the next', {
  skip,
  timeout,
}, async () => {
  const { lease, port, seen } = await opened({ bufferBytes: 512 * MIB });
  const local = (attempt: number) => ({
    ...{ id: `clm.${attempt}`, stream: lease.stream, role: 'consumer' as const, username: `clm.${attempt}` },
    passwordDigest: digest(`clm.${attempt}-password`),
  });
  await node.broker.ensure(lease, [local(1)]);
  const [pro, con, job] = [await connect(port, 'pro'), await connect(port, 'con'), await connect(port, 'clm.1')];
  assert.ok(node.broker.used('clm.1'));
  const out = await pro.connection.createConfirmChannel();
  for (let i = 0; i < 200; i++) out.sendToQueue('frames', randomBytes(MIB));
  await out.waitForConfirms();
  const into = await con.connection.createChannel();
  let received = 0;
  await into.consume('frames', () => void received++, { noAck: true });
  await until('frames are under way', () => received > 5);
  const closed = new Promise((resolve) => con.connection.once('close', resolve));
  const asked = performance.now();
  await node.broker.ensure({ ...lease, credentials: lease.credentials.filter((c) => c.id !== 'con') }, [local(1)]);
  await closed;
  process.stdout.write(`# revoked to closed, frames under way: ${(performance.now() - asked).toFixed(0)} ms\n`);
  assert.match(con.errors.join(), /320.*its credential was revoked/s);
  assert.ok(received < 200, 'what was still to come did not');
  await (await job.connection.createChannel()).checkQueue('frames');
  await node.broker.ensure(lease, [local(2)]);
  await until('the earlier attempt is cut', () => job.errors.length > 0);
  await until('the producer alone is left', () => seen()?.connections.length === 1);
  await pro.connection.close();
});

test('a RabbitMQ that is killed comes back on its data; what was confirmed and persistent is there, and it is said', {
  skip,
  timeout,
}, async () => {
  const { port, seen } = await opened();
  const pro = await connect(port, 'pro');
  const out = await pro.connection.createConfirmChannel();
  for (let i = 0; i < 50; i++) out.sendToQueue('frames', Buffer.from(`frame ${i}`), { persistent: true });
  await out.waitForConfirms();
  const { pid } = JSON.parse(readFileSync(join(folder, 'shared-open', 'process.json'), 'utf8')) as { pid: number };
  const closed = new Promise((resolve) => pro.connection.once('close', resolve));
  process.kill(pid, 'SIGKILL');
  await closed;
  await until('it is said', () => node.events.some((e) => e.kind === 'broker-lost'));
  await until('it is back', () => seen()?.state === 'ready', 60_000);
  const { connection } = await connect(port, 'con');
  const into = await connection.createChannel();
  const got: string[] = [];
  await into.consume('frames', (m) => void got.push(String(m?.content)), { noAck: true });
  await until('all are there', () => got.length === 50);
  assert.deepEqual(
    got,
    Array.from({ length: 50 }, (_, i) => `frame ${i}`),
  );
  await connection.close();
});

test('buffers are at most 60 % of what RabbitMQ may hold; one more is refused with the figures', {
  skip,
  timeout,
}, async () => {
  const big = await opened({ bufferBytes: 1000 * MIB });
  await assert.rejects(opened({ bufferBytes: 1000 * MIB }), /buffer bytes left/);
  await node.broker.close(big.lease.stream, 'released');
});

test('garbage, half-open peers and cuts in mid-frame leave nothing behind', { skip, timeout }, async () => {
  const { lease, port, seen } = await opened({ maxConnections: 8 });
  for (const garbage of [
    'GET / HTTP/1.1\r\n\r\n',

    '\0'.repeat(9000),
    'AMQP\x01\x01\0\x0a',
  ]) {
    const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    socket.write(Buffer.from(garbage, 'latin1'));
    await closed.finally(() => socket.destroy());
  }
  const sockets = Array.from({ length: 200 }, () => net.connect(port, '127.0.0.1').on('error', () => undefined));
  await until('most are refused', () => (seen()?.counters.refused ?? 0) >= 190);
  for (const socket of sockets) socket.destroy();
  await until('there is room again', async () => {
    const pro = await connect(port, 'pro').catch(() => undefined);
    await pro?.connection.close();
    return pro !== undefined;
  });
  await node.broker.close(lease.stream, 'released');
  assert.equal(node.broker.ports(lease.stream), undefined);
});

test('Debian’s python3-pika speaks to it as to any RabbitMQ', {
  skip: skip || (existsSync('/usr/lib/python3/dist-packages/pika') ? false : 'Debian: apt-get install python3-pika'),
}, async () => {
  const { port } = await opened();
  const script = `
import pika, sys
at = lambda who: pika.BlockingConnection(pika.URLParameters(f'amqp://{who}:{who}-password@127.0.0.1:${port}'))
out = at('pro').channel(); out.confirm_delivery()
for i in range(100): out.basic_publish('', 'frames', bytes([i]) * 200000)
into = at('con').channel(); n = 0
for method, _, body in into.consume('frames'):
    assert body == bytes([n]) * 200000; into.basic_ack(method.delivery_tag); n += 1
    if n == 100: break
print(n)
`;
  const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-c', script], { timeout: 60_000 });
  assert.equal(stdout.trim(), '100');
});

test('amqp-tools publish and consume from a shell', {
  skip: skip || (existsSync('/usr/bin/amqp-publish') ? false : 'Debian: apt-get install amqp-tools'),
}, async () => {
  const { port } = await opened();
  const url = (who: string): string => `amqp://${who}:${who}-password@127.0.0.1:${port}/`;
  const run = promisify(execFile);
  await run('/usr/bin/amqp-publish', ['-u', url('pro'), '-r', 'frames', '-b', 'from a shell'], { timeout: 20_000 });
  const { stdout } = await run('/usr/bin/amqp-get', ['-u', url('con'), '-q', 'frames'], { timeout: 20_000 });
  assert.equal(stdout, 'from a shell');
});

test('after the agent’s own kill the RabbitMQ and its streams are found again; what is wanted no more goes; a dedicated one ends with its stream', {
  skip,
  timeout,
}, async (t) => {
  const own = join(place, 'killed');
  const [kept, unwanted] = [rabbitLease({ kind: 'dedicated' }), rabbitLease()];
  const entry = new URL('rabbitmq-and-die.fixture.ts', import.meta.url).pathname;
  const agent = spawn(process.execPath, [entry, JSON.stringify({ folder: own, leases: [kept, unwanted] })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await new Promise((resolve) => agent.stdout.once('data', (d: Buffer) => resolve([d])))) as [Buffer];
  const [port = 0] = JSON.parse(said.toString()) as number[];
  const pro = await connect(port, 'pro');
  const out = await pro.connection.createConfirmChannel();
  out.sendToQueue('frames', Buffer.from('still here'));
  await out.waitForConfirms();
  const pidOf = (house: string): number =>
    (JSON.parse(readFileSync(join(own, house, 'process.json'), 'utf8')) as { pid: number }).pid;
  const [pidKept, pidShared] = [pidOf(`own-${kept.stream}`), pidOf('shared-open')];
  const gone = new Promise((resolve) => agent.once('exit', resolve));
  agent.kill('SIGKILL');
  await gone;
  const second = testBroker(own).broker;
  t.after(() => second.stop());
  assert.deepEqual(
    second
      .observe()
      .map((o) => o.stream)
      .sort(),
    [kept.stream, unwanted.stream].sort(),
  );
  await second.ensure(kept, []);
  await until('it is taken over', () => second.observe().find((o) => o.stream === kept.stream)?.state === 'ready');
  assert.equal(pidOf(`own-${kept.stream}`), pidKept, 'the same process');
  const { connection } = await connect(portOf(second, kept.stream), 'con');
  const message = await (await connection.createChannel()).get('frames');
  assert.equal(message === false ? '' : String(message.content), 'still here');
  await connection.close();
  await second.close(unwanted.stream, 'released');
  await until('it is gone', () => !second.observe().some((o) => o.stream === unwanted.stream));
  await second.close(kept.stream, 'released');
  assert.deepEqual(readdirSync(own), ['shared-open']);
  assert.equal(identityOf(pidKept), undefined, 'a dedicated one ends with its stream');
  assert.ok(identityOf(pidShared) !== undefined, 'a shared one stays warm');
  await second.stop();
  assert.deepEqual(readdirSync(own), []);
  assert.equal(identityOf(pidShared), undefined);
});
