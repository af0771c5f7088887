// Modes `direct` and `l4` with a real RabbitMQ and a real HAProxy: clients speak TLS with the broker itself, and the node still says who gets in, from where, and what each may do; revoking
// ends what is connected.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { makeAuthority, signNodeCertificate } from '../../identity/authority/certificates.ts';
import { nodeCertificate } from '../certificate/node-certificate.ts';
import { routerProgram } from '../router/tcp-router.ts';
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
const timeout = 90_000;
const place = mkdtempSync(join(tmpdir(), 'beamway-rabbit-direct-'));
const authority = await makeAuthority('test', Date.now());
const certificate = nodeCertificate(join(place, 'certificate.json'), 'dsn01', systemClock);
let node: ReturnType<typeof testBroker>;

before(async () => {
  if (skip !== false) return;
  await certificate.renew(async (request) => {
    const of = { node: 'dsn01', addresses: ['127.0.0.1'], hostnames: [], nowMs: Date.now() };
    const signed = await signNodeCertificate(authority, request, of);
    assert.ok(signed !== undefined);
    const { certificatePem, expiresAtMs } = signed;
    return { certificate: certificatePem, authority: authority.certificatePem, expiresAtMs };
  });
  node = testBroker(join(place, 'node'), 2048 * MIB, certificate);
});
// Names of credentials are one stream's; those of these tests are used again.
afterEach(async () => {
  for (const { stream } of node?.broker.observe() ?? []) await node.broker.close(stream, 'the test is over');
});
after(async () => {
  await node?.broker.stop();
  rmSync(place, { recursive: true, force: true });
});

async function opened(over: Parameters<typeof rabbitLease>[0] = {}) {
  const lease = rabbitLease({ mode: 'direct', tls: true, ...over });
  await node.broker.ensure(lease, []);
  const seen = () => node.broker.observe().find((o) => o.stream === lease.stream);
  await until('it is ready', () => seen()?.state === 'ready', 60_000);
  const port = portOf(node.broker, lease.stream);
  const as = (name: string, password?: string, vhost = lease.stream) =>
    connect(
      port,
      name,
      { protocol: 'amqps', vhost, ...(password === undefined ? {} : { password }) },
      { ca: [authority.certificatePem] },
    );
  return { lease, port, seen, as };
}

test('octets arrive by TLS from the broker itself; each role has its rights; the endpoint names the virtual host', {
  skip,
  timeout,
}, async () => {
  const { lease, seen, as, port } = await opened();
  assert.equal(seen()?.endpoints['producer'], `amqps://127.0.0.1:${port}/${lease.stream}`);
  const [pro, con] = [await as('pro'), await as('con')];
  const [sent, got] = [createHash('sha256'), createHash('sha256')];
  const out = await pro.connection.createConfirmChannel();
  const into = await con.connection.createChannel();
  await into.prefetch(16);
  const COUNT = 60;
  let received = 0;
  const all = new Promise<void>((resolve) => {
    void into.consume('frames', (message) => {
      if (message === null) return;
      got.update(message.content);
      into.ack(message);
      if (++received === COUNT) resolve();
    });
  });
  for (let i = 0; i < COUNT; i++) {
    const frame = randomBytes(1 + ((i * 104_729) % MIB));
    sent.update(frame);
    out.sendToQueue('frames', frame);
  }
  await out.waitForConfirms();
  await all;
  assert.equal(got.digest('hex'), sent.digest('hex'));
  await until('both are seen', () => seen()?.counters.producers === 1 && seen()?.counters.consumers === 1);
  const channel = await pro.connection.createChannel();
  const refused = new Promise<string>((resolve) => channel.once('error', (e: Error) => resolve(e.message)));
  await channel.consume('frames', () => undefined).catch(() => undefined);
  assert.match(await refused, /403|ACCESS.REFUSED/i);
  await pro.connection.close();
  await con.connection.close();
});

test('who has no credential, a wrong or expired one, comes from elsewhere, or names another virtual host, is not let in', {
  skip,
  timeout,
}, async () => {
  const { lease, as } = await opened({
    credentials: [credential('pro2', 'producer'), credential('old', 'producer', -1000)],
  });
  const other = await opened({ credentials: [] });
  await assert.rejects(as('pro2', 'wrong'), /ACCESS.REFUSED/);
  await assert.rejects(as('nobody'), /ACCESS.REFUSED/);
  await assert.rejects(as('old'), /ACCESS.REFUSED/);
  await assert.rejects(as(`${lease.stream}/producer/pro2`, 'guess'), /ACCESS.REFUSED/);
  await assert.rejects(as('pro2', undefined, other.lease.stream), /ConnectionClose|ACCESS.REFUSED/);
  await assert.rejects(as('pro2', undefined, 'beamway'), /ConnectionClose|ACCESS.REFUSED/);
  await node.broker.ensure({ ...lease, externalAddresses: ['192.0.2.0/24'] }, []);
  await assert.rejects(as('pro2'), /ConnectionClose|ACCESS.REFUSED/);
  await node.broker.ensure(lease, []);
  await (await as('pro2')).connection.close();
});

test('draining in mode direct: producers are ended and not let in again, consumers get what is there', {
  skip,
  timeout,
}, async () => {
  const { lease, as } = await opened();
  const [pro, con] = [await as('pro'), await as('con')];
  const out = await pro.connection.createConfirmChannel();
  out.on('error', () => undefined);
  out.sendToQueue('frames', Buffer.from('x'));
  await out.waitForConfirms();
  await node.broker.ensure({ ...lease, draining: true }, []);
  await until('the producer is ended', () => pro.errors.length > 0);
  assert.match(pro.errors.join(), /the stream is draining/);
  await assert.rejects(as('pro'), /ACCESS.REFUSED/);
  const into = await con.connection.createChannel();
  assert.notEqual(await into.get('frames', { noAck: true }), false);
  await con.connection.close();
});

test('a revoked credential’s connection is ended with the reason; a job’s is fenced by the next; a released stream’s are gone', {
  skip,
  timeout,
}, async () => {
  const { lease, seen, as } = await opened({ credentials: [credential('a', 'producer'), credential('b', 'consumer')] });
  const local = (attempt: number) => ({
    ...{ id: `clm.${attempt}`, stream: lease.stream, role: 'consumer' as const, username: `clm.${attempt}` },
    passwordDigest: digest(`clm.${attempt}-password`),
  });
  await node.broker.ensure(lease, [local(1)]);
  const [a, b, job] = [await as('a'), await as('b'), await as('clm.1')];
  assert.ok(node.broker.used('clm.1'));
  const began = performance.now();
  const closed = new Promise((resolve) => a.connection.once('close', resolve));
  await node.broker.ensure({ ...lease, credentials: lease.credentials.filter((c) => c.id !== 'a') }, [local(2)]);
  await closed;
  process.stdout.write(`# revoked to closed, direct, just connected: ${(performance.now() - began).toFixed(0)} ms\n`);
  assert.match(a.errors.join(), /its credential was revoked/);
  await until('the earlier attempt is ended', () => job.errors.length > 0);
  await until('one is left', () => seen()?.connections.length === 1);
  assert.ok(node.events.some((e) => e.kind === 'disconnected' && /revoked/.test(String(e.detail['reason']))));
  await (await b.connection.createChannel()).checkQueue('frames');
  await node.broker.close(lease.stream, 'released');
  await until('it is ended too', () => b.errors.length > 0);
});

const noRouter = skip || (routerProgram() === undefined ? 'no HAProxy; Debian: apt-get install haproxy' : false);
const routers = join(place, 'node-l4');

test('through the packet router octets arrive, RabbitMQ sees who it is, and a router that is killed is there again at its port', {
  skip: noRouter,
  timeout,
}, async () => {
  const { lease, seen, as, port } = await opened({ mode: 'l4' });
  const [pro, con] = [await as('pro'), await as('con')];
  const [sent, got] = [createHash('sha256'), createHash('sha256')];
  const out = await pro.connection.createConfirmChannel();
  const into = await con.connection.createChannel();
  await into.prefetch(8);
  const COUNT = 60;
  let received = 0;
  const all = new Promise<void>((resolve) => {
    void into.consume('frames', (message) => {
      if (message === null) return;
      got.update(message.content);
      setTimeout(() => into.ack(message), received % 7 === 0 ? 3 : 0);
      if (++received === COUNT) setTimeout(resolve, 50);
    });
  });
  for (let i = 0; i < COUNT; i++) {
    const frame = randomBytes(1 + ((i * 104_729) % MIB));
    sent.update(frame);
    out.sendToQueue('frames', frame);
  }
  await out.waitForConfirms();
  await all;
  assert.equal(got.digest('hex'), sent.digest('hex'));
  await until('both are seen', () => seen()?.connections.length === 2);
  assert.ok(seen()?.connections.every((c) => c.remoteAddress === '127.0.0.1'));
  const { pid } = JSON.parse(readFileSync(join(routers, lease.stream, 'process.json'), 'utf8')) as {
    pid: number;
  };
  const closed = new Promise((resolve) => pro.connection.once('close', resolve));
  process.kill(pid, 'SIGKILL');
  await closed;
  await until('it is there again', async () => {
    await node.broker.ensure(lease, []); // as the agent does each second
    const again = await as('pro').catch(() => undefined);
    await again?.connection.close();
    return again !== undefined;
  });
  assert.equal(portOf(node.broker, lease.stream), port);
  await node.broker.close(lease.stream, 'released');
  assert.deepEqual(readdirSync(routers), []);
});

test('an address that is not listed does not get a connection; one that is taken off the list is cut; a revoked credential too', {
  skip: noRouter,
  timeout,
}, async () => {
  const { lease, port, as } = await opened({ mode: 'l4', externalAddresses: ['127.0.0.0/8'] });
  const from = (localAddress: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = net.connect({ port, host: '127.0.0.1', localAddress });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve('closed'));
      // TLS is spoken by nobody here: what matters is whether the connection is kept.
      setTimeout(() => resolve(socket.destroyed ? 'closed' : 'kept'), 400);
      after(() => socket.destroy());
    });
  assert.equal(await from('127.0.0.9'), 'kept');
  const cut = new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9' });
    socket.on('error', () => undefined);
    socket.once('close', resolve);
  });
  const con = await as('con');
  await node.broker.ensure({ ...lease, externalAddresses: ['127.0.0.1/32'] }, []);
  await cut;
  await until('the list is in force', async () => (await from('127.0.0.9')) === 'closed');
  assert.equal(await from('127.0.0.1'), 'kept');
  await (await con.connection.createChannel()).checkQueue('frames');
  const ended = new Promise((resolve) => con.connection.once('close', resolve));
  const began = performance.now();
  const credentials = lease.credentials.filter((c) => c.id !== 'con');
  await node.broker.ensure({ ...lease, externalAddresses: ['127.0.0.1/32'], credentials }, []);
  await ended;
  process.stdout.write(`# revoked to closed, l4: ${(performance.now() - began).toFixed(0)} ms\n`);
  assert.match(con.errors.join(), /its credential was revoked/);
  await node.broker.close(lease.stream, 'released');
  assert.ok(!existsSync(join(routers, lease.stream)));
});
