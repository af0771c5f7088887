// The gateway alone, before a broker that this test plays: what passes is what was sent, by either way of reading, and everybody's slabs come back.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { systemClock } from '../../clock.ts';
import { makeAuthority, signNodeCertificate } from '../../identity/authority/certificates.ts';
import { nodeCertificate } from '../certificate/node-certificate.ts';
import { command } from '../resp/index.ts';
import { openGateway } from './open-gateway.ts';
import { respProtocol } from './resp-protocol.ts';

const place = mkdtempSync(join(tmpdir(), 'beamway-gateway-'));
after(() => rmSync(place, { recursive: true, force: true }));
const MIB = 1_048_576;

/** Answers AUTH, then echoes every octet, and stops reading now and then. */
async function playedBroker(name: string) {
  const path = join(place, name);
  const logins: string[] = [];
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (first: Buffer) => {
      logins.push(first.toString());
      socket.write('+OK\r\n');
      let reads = 0;
      socket.on('data', (part: Buffer) => {
        if (!socket.write(part) || ++reads % 7 === 0) {
          socket.pause();
          setTimeout(() => socket.resume(), 2);
        }
      });
    });
  });
  server.listen(path);
  await once(server, 'listening');
  return { path, logins, close: () => server.close() };
}

const authority = await makeAuthority('test', Date.now());
const certificate = nodeCertificate(join(place, 'certificate.json'), 'dsn01', systemClock);
await certificate.renew(async (request) => {
  const of = { node: 'dsn01', addresses: ['127.0.0.1'], hostnames: [], nowMs: Date.now() };
  const signed = await signNodeCertificate(authority, request, of);
  assert.ok(signed !== undefined);
  const { certificatePem, expiresAtMs } = signed;
  return { certificate: certificatePem, authority: authority.certificatePem, expiresAtMs };
});

for (const [how, readInPlace, secured] of [
  ['read in place', true, false],
  ['copied', false, false],
  ['TLS', true, true],
] as const)
  test(`octets both ways are those that were sent, though both ends stop reading (${how})`, async () => {
    const broker = await playedBroker(`echo-${how}`);
    const gateway = await openGateway({
      ...{ hosts: ['127.0.0.1'], port: 0, portRange: { from: 0, to: 0 }, clock: systemClock, handshakeTimeoutMs: 2000 },
      ...{
        maxConnections: 4,
        protocol: respProtocol({ maxMessageBytes: 4 * MIB }),
        readInPlace,
        onEvent: () => undefined,
      },
      tls: secured ? certificate.context : undefined,
      judge: (_address, username, password) =>
        password === 'p'
          ? { ok: true, grant: { role: 'producer', credentialId: username } }
          : { ok: false, reason: 'no' },
      upstream: ({ role }) => ({ at: { path: broker.path }, username: `up-${role}`, password: 'hidden' }),
    });
    const client = secured
      ? tls.connect({ host: '127.0.0.1', port: gateway.port, ca: authority.certificatePem })
      : net.connect(gateway.port, '127.0.0.1');
    const [sent, got] = [createHash('sha256'), createHash('sha256')];
    const commands = Array.from({ length: 60 }, (_, i) =>
      Buffer.concat([
        Buffer.from(`*2\r\n$4\r\nXADD\r\n$${1 + ((i * 104_729) % (2 * MIB))}\r\n`),
        randomBytes(1 + ((i * 104_729) % (2 * MIB))),
        Buffer.from('\r\n'),
      ]),
    );
    const total = commands.reduce((sum, c) => sum + c.length, 0);
    client.write(command('AUTH', 'ada', 'p'));
    for (const each of commands) {
      sent.update(each);
      client.write(each);
    }
    let left = total + '+OK\r\n'.length;
    let skip = '+OK\r\n'.length;
    let reads = 0;
    await new Promise<void>((resolve, reject) => {
      client.on('close', () => reject(new Error(`closed with ${left} to come`)));
      client.on('data', (part: Buffer) => {
        got.update(part.subarray(skip));
        skip = Math.max(0, skip - part.length);
        left -= part.length;
        if (left === 0) resolve();
        if (++reads % 11 !== 0) return;
        client.pause();
        setTimeout(() => client.resume(), 3);
      });
    });
    assert.equal(got.digest('hex'), sent.digest('hex'));
    assert.deepEqual(broker.logins, [command('AUTH', 'up-producer', 'hidden').toString()]);
    const [only] = gateway.counters().connections;
    assert.deepEqual([only?.messages, only?.credentialId, only?.bytes], [60, 'ada', 2 * total]);
    client.removeAllListeners('close');
    client.destroy();
    for (const end = performance.now() + 5000; gateway.counters().slabs > 0; ) {
      assert.ok(performance.now() < end, `${gateway.counters().slabs} slabs`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await gateway.close('over');
    broker.close();
  });

test('a client cut in the middle of much, and one whose broker goes away, give everything back too', async () => {
  const broker = await playedBroker('cut');
  const reasons: string[] = [];
  const gateway = await openGateway({
    ...{ hosts: ['127.0.0.1'], port: 0, portRange: { from: 0, to: 0 }, clock: systemClock, handshakeTimeoutMs: 300 },
    ...{ maxConnections: 4, protocol: respProtocol({ maxMessageBytes: 64 * MIB }) },
    onEvent: (_kind, detail) => void reasons.push(String(detail['reason'] ?? '')),
    judge: (_address, username) => ({ ok: true, grant: { role: 'producer', credentialId: username } }),
    upstream: () => ({ at: { path: broker.path }, username: 'u', password: 'p' }),
  });
  const clients = ['a', 'b'].map((name) => {
    const client = net.connect(gateway.port, '127.0.0.1').on('error', () => undefined);
    client.write(command('AUTH', name, 'p'));
    client.write(`*1\r\n$${32 * MIB}\r\n`);
    client.write(randomBytes(16 * MIB));
    return client;
  });
  const silent = net.connect(gateway.port, '127.0.0.1').on('error', () => undefined);
  for (const end = performance.now() + 5000; gateway.counters().bytesIn < 8 * MIB; ) {
    assert.ok(performance.now() < end);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(
    gateway.cut(({ credentialId }) => credentialId === 'a', 'revoked'),
    1,
  );
  clients[1]?.destroy();
  await once(silent, 'close');
  for (const end = performance.now() + 5000; gateway.counters().slabs > 0; ) {
    assert.ok(performance.now() < end, `${gateway.counters().slabs} slabs`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  for (
    const end = performance.now() + 5000;
    !['cut: revoked', 'no AUTH in 300 ms'].every((r) => reasons.includes(r));
  ) {
    assert.ok(performance.now() < end, reasons.join());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await gateway.close('over');
  for (const client of clients) client.destroy();
  broker.close();
});

test('a credential that is revoked while the broker is still being asked lets nobody in', async () => {
  const path = join(place, 'slow');
  let taken: net.Socket | undefined;
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    taken = socket;
  });
  server.listen(path);
  await once(server, 'listening');
  const events: string[] = [];
  const gateway = await openGateway({
    ...{ hosts: ['127.0.0.1'], port: 0, portRange: { from: 0, to: 0 }, clock: systemClock, handshakeTimeoutMs: 2000 },
    ...{ maxConnections: 4, protocol: respProtocol({ maxMessageBytes: MIB }) },
    onEvent: (kind, detail) => void events.push(`${kind} ${String(detail['reason'] ?? '')}`),
    judge: (_address, username) => ({ ok: true, grant: { role: 'producer', credentialId: username } }),
    upstream: () => ({ at: { path }, username: 'u', password: 'p' }),
  });
  const client = net.connect(gateway.port, '127.0.0.1').on('error', () => undefined);
  const closed = once(client, 'close');
  client.write(command('AUTH', 'ada', 'p'));
  await once(server, 'connection');
  assert.equal(
    gateway.cut(({ credentialId }) => credentialId === 'ada', 'revoked'),
    1,
  );
  taken?.write('+OK\r\n');
  await closed;
  for (const end = performance.now() + 5000; events.length === 0; ) {
    assert.ok(performance.now() < end);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepEqual(events, ['refused cut: revoked']);
  await gateway.close('over');
  server.close();
});

test('where TLS is spoken, who speaks without, with an older version, or to another name gets nowhere, and it is recorded', async () => {
  const reasons: string[] = [];
  let judged = 0;
  let context = certificate.context();
  const gateway = await openGateway({
    ...{ hosts: ['127.0.0.1'], port: 0, portRange: { from: 0, to: 0 }, clock: systemClock, handshakeTimeoutMs: 2000 },
    ...{ maxConnections: 4, protocol: respProtocol({ maxMessageBytes: MIB }), tls: () => context },
    onEvent: (_kind, detail) => void reasons.push(String(detail['reason'])),
    judge: () => {
      judged += 1;
      return { ok: false, reason: 'judged' };
    },
    upstream: () => ({ at: { path: '/nowhere' }, username: 'u', password: 'p' }),
  });
  const ended = (socket: net.Socket): Promise<unknown> => {
    socket.on('error', () => undefined);
    socket.resume();
    return new Promise((resolve) => socket.once('close', resolve));
  };
  const at = { host: '127.0.0.1', port: gateway.port, ca: authority.certificatePem };
  const plain = net.connect(at);
  plain.write(command('AUTH', 'ada', 'p'));
  await ended(plain);
  await ended(tls.connect({ ...at, maxVersion: 'TLSv1.2' }));
  await ended(tls.connect({ ...at, servername: 'other.example' }));
  assert.equal(judged, 0);
  assert.match(reasons[0] ?? '', /no TLS 1\.3 with it/);
  assert.match(reasons[1] ?? '', /no TLS 1\.3 with it/);
  const secured = tls.connect(at);
  secured.write(command('AUTH', 'ada', 'p'));
  await ended(secured);
  assert.equal(judged, 1);
  // A node whose certificate has run out lets nobody in.
  context = undefined;
  await ended(net.connect(at));
  assert.ok(reasons.includes('the node has no certificate'));
  await gateway.close('the test is over');
});

test('a stream’s bound on octets a second holds for all its clients together; time moved on lets the rest through, whole', async () => {
  const RATE = 4 * MIB;
  let now = 0;
  const due: { readonly at: number; readonly act: () => void }[] = [];
  const clock = {
    now: () => now,
    monotonic: () => now,
    after(ms: number, act: () => void) {
      const entry = { at: now + ms, act };
      due.push(entry);
      return () => void due.splice(0, due.length, ...due.filter((d) => d !== entry));
    },
  };
  const moveOn = (ms: number): void => {
    now += ms;
    for (const { act } of due.filter((d) => d.at <= now && due.splice(due.indexOf(d), 1).length > 0)) act();
  };
  const broker = await playedBroker('rate');
  const gateway = await openGateway({
    ...{ hosts: ['127.0.0.1'], port: 0, portRange: { from: 0, to: 0 }, clock, handshakeTimeoutMs: 1e9 },
    ...{ maxConnections: 4, protocol: respProtocol({ maxMessageBytes: 64 * MIB }), bytesPerSecond: () => RATE },
    onEvent: () => undefined,
    judge: (_address, username) => ({ ok: true, grant: { role: 'producer', credentialId: username } }),
    upstream: () => ({ at: { path: broker.path }, username: 'u', password: 'p' }),
  });
  const EACH = 10 * MIB;
  const clients = ['a', 'b'].map((name) => {
    const client = net.connect(gateway.port, '127.0.0.1').on('error', () => undefined);
    client.resume();
    client.write(command('AUTH', name, 'p'));
    client.write(`*2\r\n$4\r\nXADD\r\n$${EACH}\r\n`);
    client.write(Buffer.alloc(EACH, name));
    client.write('\r\n');
    return client;
  });
  const most = 2 * EACH;
  // No more than burst, rate, and one read of each client: 1 MiB.
  const allowed = (): number => RATE * 0.25 + (now * RATE) / 1000 + 2 * MIB;
  for (let turns = 0; gateway.counters().bytesIn < most; turns++) {
    assert.ok(turns < 2000, `${gateway.counters().bytesIn} of ${most}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.ok(gateway.counters().bytesIn <= allowed(), `${gateway.counters().bytesIn} at ${now} ms`);
    moveOn(20);
  }
  assert.ok(now >= ((most - RATE * 0.25 - 2 * MIB) * 1000) / RATE);
  for (const client of clients) client.destroy();
  // Who is made to wait is not read from, so that it went away is seen when its time has come.
  for (let turns = 0; gateway.counters().slabs > 0; turns++) {
    assert.ok(turns < 2000, `${gateway.counters().slabs} slabs are left`);
    moveOn(20);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await gateway.close('the test is over');
  broker.close();
});

test('a stream’s bound on messages a second holds, whatever the reads; waiting for one read outlasts no heartbeat', async () => {
  const RATE = 100;
  let now = 0;
  const due: { readonly at: number; readonly act: () => void }[] = [];
  const clock = {
    now: () => now,
    monotonic: () => now,
    after(ms: number, act: () => void) {
      const entry = { at: now + ms, act };
      due.push(entry);
      return () => void due.splice(0, due.length, ...due.filter((d) => d !== entry));
    },
  };
  const broker = await playedBroker('messages');
  const gateway = await openGateway({
    ...{ hosts: ['127.0.0.1'], port: 0, portRange: { from: 0, to: 0 }, clock, handshakeTimeoutMs: 1e9 },
    ...{ maxConnections: 4, protocol: respProtocol({ maxMessageBytes: MIB }), messagesPerSecond: () => RATE },
    onEvent: () => undefined,
    judge: (_address, username) => ({ ok: true, grant: { role: 'producer', credentialId: username } }),
    upstream: () => ({ at: { path: broker.path }, username: 'u', password: 'p' }),
  });
  const client = net.connect(gateway.port, '127.0.0.1').on('error', () => undefined);
  client.resume();
  const MOST = 5000;
  client.write(command('AUTH', 'a', 'p'));
  client.write(Buffer.concat(Array.from({ length: MOST }, () => command('PUBLISH', 'c', 'm'))));
  // And what came before the broker had taken the client.
  const ofOneRead = (RATE * 256) / command('PUBLISH', 'c', 'm').length + 1;
  for (let turns = 0; gateway.counters().messagesIn < MOST; turns++) {
    assert.ok(turns < 4000, `${gateway.counters().messagesIn} of ${MOST}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.ok(gateway.counters().messagesIn <= RATE * 0.25 + (now * RATE) / 1000 + 2 * ofOneRead);
    now += 50;
    for (const { act } of due.filter((d) => d.at <= now && due.splice(due.indexOf(d), 1).length > 0)) act();
  }
  assert.ok(ofOneRead / RATE < 10, 'seconds that one read may take');
  assert.ok(now >= ((MOST - RATE * 0.25 - 2 * ofOneRead) * 1000) / RATE);
  client.destroy();
  await gateway.close('the test is over');
  broker.close();
});
