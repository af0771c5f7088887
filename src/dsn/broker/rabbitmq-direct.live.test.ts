// Mode `direct` with a real RabbitMQ: clients speak TLS with the broker itself, and the node still says who gets in, from where, and what each may do; revoking ends what is connected.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../../clock.ts';
import { makeAuthority, signNodeCertificate } from '../../identity/authority/certificates.ts';
import { nodeCertificate } from '../certificate/node-certificate.ts';
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
after(async () => {
  for (const { stream } of node?.broker.observe() ?? []) await node.broker.close(stream, 'the test is over');
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
