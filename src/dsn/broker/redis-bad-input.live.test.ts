// Bad input before a real redis-server: strangers that only connect, credentials of others and of yesterday, a memory that is full in the middle of a pipeline, a reader that does not read. What was answered with an id is there.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createClient } from '@redis/client';
import type { Lease } from '../../api/contract/node-link.ts';
import { systemClock } from '../../clock.ts';
import { testLease } from '../lease.fixture.ts';
import { command } from '../resp/index.ts';
import type { BrokerEvent } from './broker.ts';
import { credential, MIB, portOf, until } from './rabbitmq.fixture.ts';
import { redisProgram } from './redis/redis-server.ts';
import { redisBroker } from './redis-broker.ts';

const skip = redisProgram() === undefined ? 'no redis-server; Debian: apt install redis-server' : false;
const timeout = 90_000;
const place = mkdtempSync(join(tmpdir(), 'beamway-redis-bad-'));
const events: BrokerEvent[] = [];
const broker = redisBroker({
  ...{ clock: systemClock, folder: place, external: '127.0.0.1', compute: '127.0.0.1' },
  certificate: { context: () => undefined },
  remembered: () => undefined,
  portRange: { from: 0, to: 0 },
  onEvent: (event) => void events.push(event),
  log: { warn: () => undefined },
});
after(async () => {
  for (const { stream } of broker.observe()) await broker.close(stream, 'the test is over');
  rmSync(place, { recursive: true, force: true });
});

async function opened(over: Partial<Lease> = {}) {
  const lease = testLease({
    ...{ stream: `str_${randomBytes(4).toString('hex')}`, engine: 'redis', overflow: 'refuse' },
    ...{ bufferBytes: 64 * MIB, maxMessageBytes: 4 * MIB, maxConnections: 16, expiresAtMs: Date.now() + 600_000 },
    credentials: [credential('pro', 'producer'), credential('con', 'consumer')],
    ...over,
  });
  await broker.ensure(lease, []);
  const seen = () => broker.observe().find((o) => o.stream === lease.stream);
  return { lease, port: portOf(broker, lease.stream), seen };
}

async function connect(port: number, name: string) {
  const socket = { host: '127.0.0.1', port, reconnectStrategy: false } as const;
  const options = { username: name, password: `${name}-password`, RESP: 2, socket, disableClientInfo: true } as const;
  const client = createClient(options);
  client.on('error', () => undefined);
  await client.connect();
  return { ask: (...words: (string | Buffer)[]) => client.sendCommand(words), client };
}

const of = (stream: string, kind: string): readonly string[] =>
  events.filter((e) => e.stream === stream && e.kind === kind).map((e) => String(e.detail['reason']));

test('a thousand that only connect, or say half of it, keep out nobody who says who it is; each is gone with a reason', {
  skip,
  timeout,
}, async () => {
  const { lease, port, seen } = await opened();
  const pro = await connect(port, 'pro');
  const strangers: net.Socket[] = [];
  let closed = 0;
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 100; i++) {
      const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
      socket.once('close', () => {
        closed += 1;
      });
      socket.resume();
      if (i % 2 === 0) socket.write('*3\r\n$4\r\nAUTH\r\n$3\r\npro\r\n$12\r\npro-pass');
      strangers.push(socket);
    }
    for (let i = 0; i < 20; i++) await pro.ask('XADD', 'frames', '*', 'f', randomBytes(20_000));
    await until('there is room for who says who it is', async () => {
      const late = await connect(port, 'con').catch(() => undefined);
      late?.client.destroy();
      return late !== undefined;
    });
  }
  const con = await connect(port, 'con');
  assert.equal(await con.ask('XLEN', 'frames'), 200);
  con.client.destroy();
  await until('no more than there is room for are left', () => strangers.length - closed <= 15);
  const refused = of(lease.stream, 'refused');
  assert.ok(refused.length >= 985 && refused.every((reason) => reason.length > 0), `${refused.length}`);
  for (const socket of strangers) socket.destroy();
  pro.client.destroy();
  await until('nobody is left', () => seen()?.connections.length === 0);
});

test('a credential of another stream is nobody here; one that expires in mid-stream is cut with the reason, and what was answered with an id is there', {
  skip,
  timeout,
}, async () => {
  const { lease, port } = await opened();
  const other = await opened({ credentials: [credential('theirs', 'producer')] });
  await assert.rejects(connect(port, 'theirs'), /WRONGPASS user name or password is wrong/);
  (await connect(other.port, 'theirs')).client.destroy();
  const pro = await connect(port, 'pro');
  const soon = lease.credentials.map((c) => (c.id === 'pro' ? { ...c, expiresAtMs: Date.now() + 300 } : c));
  const answered: string[] = [];
  let over = false;
  const pump = async (): Promise<void> => {
    while (!over)
      await pro.ask('XADD', 'frames', '*', 'f', randomBytes(1000)).then(
        (id) => void answered.push(String(id)),
        () => {
          over = true;
        },
      );
  };
  const pumping = pump();
  await until('it is cut', async () => {
    await broker.ensure({ ...lease, credentials: soon }, []);
    return over;
  });
  await pumping;
  assert.ok(answered.length > 0);
  await until('it is said', () => of(lease.stream, 'disconnected').some((r) => /revoked or has expired/.test(r)));
  await assert.rejects(connect(port, 'pro'), /WRONGPASS the credential has expired/);
  const con = await connect(port, 'con');
  const there = (await con.ask('XRANGE', 'frames', '-', '+')) as unknown as readonly (readonly [string])[];
  const ids = new Set(there.map(([id]) => id));
  assert.deepEqual(
    answered.filter((id) => !ids.has(id)),
    [],
  );
  con.client.destroy();
});

test('a memory that is full in the middle of a pipeline answers OOM to what is not taken; each that was taken is there, whole', {
  skip,
  timeout,
}, async () => {
  const { port } = await opened({ bufferBytes: 8 * MIB });
  const pro = await connect(port, 'pro');
  const frames = Array.from({ length: 60 }, () => randomBytes(MIB / 4).toString('hex'));
  const verdicts = await Promise.all(
    frames.map((frame) =>
      pro.ask('XADD', 'frames', '*', 'f', frame).then(
        (id) => String(id),
        (cause: Error) => cause.message,
      ),
    ),
  );
  const taken = verdicts.filter((v) => /^\d+-\d+$/.test(v));
  const refused = verdicts.filter((v) => !/^\d+-\d+$/.test(v));
  assert.ok(taken.length > 8 && refused.length > 0, `${taken.length} taken, ${refused.length} refused`);
  assert.ok(
    refused.every((v) => v.startsWith('OOM')),
    refused[0],
  );
  const con = await connect(port, 'con');
  assert.equal(await con.ask('XLEN', 'frames'), taken.length);
  for (const [i, id] of verdicts.entries()) {
    if (!taken.includes(id)) continue;
    const [entry] = (await con.ask('XRANGE', 'frames', id, id)) as unknown as readonly [string, readonly string[]][];
    assert.ok(entry?.[1][1] === frames[i], `${id} is not what was sent`);
  }
  pro.client.destroy();
  con.client.destroy();
});

test('a reader that asks for much and reads nothing is held by its own connection; others go on, and what it did not take is there', {
  skip,
  timeout,
}, async () => {
  const { lease, port, seen } = await opened();
  const pro = await connect(port, 'pro');
  for (let i = 0; i < 32; i++) await pro.ask('XADD', 'frames', '*', 'f', randomBytes(MIB));
  const slow = net.connect(port, '127.0.0.1').on('error', () => undefined);
  slow.pause();
  slow.write(command('AUTH', 'con', 'con-password'));
  for (let i = 0; i < 8; i++) slow.write(command('XRANGE', 'frames', '-', '+'));
  const gone = (): boolean => of(lease.stream, 'disconnected').length > 0;
  // Its answers are more than Redis keeps for one client: Redis ends it.
  await until('it is ended', gone, 30_000);
  assert.match(of(lease.stream, 'disconnected').join(), /the broker ended the connection/);
  assert.match(String(await pro.ask('XADD', 'frames', '*', 'f', 'on')), /^\d+-\d+$/);
  const con = await connect(port, 'con');
  assert.equal(await con.ask('XLEN', 'frames'), 33);
  slow.destroy();
  pro.client.destroy();
  con.client.destroy();
  await until('nobody is left', () => seen()?.connections.length === 0);
});
