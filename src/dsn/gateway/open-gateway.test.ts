// The gateway alone, before a broker that this test plays: what passes is what was sent, by either way of reading, and everybody's slabs come back.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../clock.ts';
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

for (const readInPlace of [true, false])
  test(`octets both ways are those that were sent, though both ends stop reading (read in place: ${readInPlace})`, async () => {
    const broker = await playedBroker(`echo-${readInPlace}`);
    const gateway = await openGateway({
      ...{ hosts: ['127.0.0.1'], port: 0, portRange: { from: 0, to: 0 }, clock: systemClock, handshakeTimeoutMs: 2000 },
      ...{
        maxConnections: 4,
        protocol: respProtocol({ maxMessageBytes: 4 * MIB }),
        readInPlace,
        onEvent: () => undefined,
      },
      judge: (_address, username, password) =>
        password === 'p'
          ? { ok: true, grant: { role: 'producer', credentialId: username } }
          : { ok: false, reason: 'no' },
      upstream: ({ role }) => ({ at: { path: broker.path }, username: `up-${role}`, password: 'hidden' }),
    });
    const client = net.connect(gateway.port, '127.0.0.1');
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
