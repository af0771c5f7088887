// The redis engine with a real redis-server: who gets in, what each role may do, what passes, what a full buffer does, how revoking cuts, and what is left after a crash.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createClient } from '@redis/client';
import type { Lease } from '../../api/contract/node-link.ts';
import { systemClock } from '../../clock.ts';
import { testLease } from '../lease.fixture.ts';
import type { Usage } from '../quota.ts';
import type { Broker, BrokerEvent } from './broker.ts';
import { redisProgram } from './redis/redis-server.ts';
import { redisBroker } from './redis-broker.ts';

const skip = redisProgram() === undefined ? 'no redis-server; Debian: apt install redis-server' : false;
const MIB = 1_048_576;
const place = mkdtempSync(join(tmpdir(), 'beamway-redis-'));
const opened: Broker[] = [];
after(async () => {
  for (const broker of opened)
    for (const { stream } of broker.observe()) await broker.close(stream, 'the test is over');
  rmSync(place, { recursive: true, force: true });
});

let folders = 0;
function newBroker(folder = join(place, String(++folders)), usedBefore: () => Usage | undefined = () => undefined) {
  const events: BrokerEvent[] = [];
  const broker = redisBroker({
    clock: systemClock,
    folder,
    external: '127.0.0.1',
    compute: '127.0.0.1',
    certificate: { context: () => undefined },
    remembered: () => undefined,
    usedBefore,
    portRange: { from: 0, to: 0 },
    onEvent: (event) => void events.push(event),
    log: { warn: () => undefined },
  });
  opened.push(broker);
  return { broker, events, folder };
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
const credential = (name: string, role: 'producer' | 'consumer', expiresInMs = 600_000) => ({
  id: name,
  role,
  username: name,
  passwordDigest: digest(`${name}-password`),
  expiresAtMs: Date.now() + expiresInMs,
});
const lease = (over: Partial<Lease> = {}): Lease =>
  testLease({
    stream: `str_${randomBytes(4).toString('hex')}`,
    engine: 'redis',
    overflow: 'refuse',
    delivery: 'redeliver',
    bufferBytes: 64 * MIB,
    maxMessageBytes: 4 * MIB,
    maxConnections: 16,
    externalAddresses: ['127.0.0.0/8'],
    expiresAtMs: Date.now() + 600_000,
    credentials: [credential('pro', 'producer'), credential('con', 'consumer')],
    ...over,
  });

const portOf = (broker: Broker, stream: string): number => broker.ports(stream)?.port ?? 0;

async function connect(port: number, name: string, password = `${name}-password`) {
  const socket = { host: '127.0.0.1', port, reconnectStrategy: false } as const;
  const client = createClient({ username: name, password, RESP: 2, socket, disableClientInfo: true });
  client.on('error', () => undefined);
  await client.connect();
  return { ask: (...words: (string | Buffer)[]) => client.sendCommand(words), client };
}

async function until(what: string, probe: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 15_000; !(await probe()); ) {
    assert.ok(performance.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('octets arrive as they were sent, in order, through a reader that stops now and then; what all have acknowledged leaves the buffer', {
  skip,
}, async () => {
  const { broker } = newBroker();
  const it = lease();
  await broker.ensure(it, []);
  const port = portOf(broker, it.stream);
  const [pro, con] = [await connect(port, 'pro'), await connect(port, 'con')];
  await con.ask('XGROUP', 'CREATE', 'frames', 'workers', '0', 'MKSTREAM');
  const [sent, got] = [createHash('sha256'), createHash('sha256')];
  const COUNT = 200;
  const produce = async (): Promise<void> => {
    for (let i = 0; i < COUNT; ) {
      const frame = randomBytes(1 + ((i * 7919) % MIB));
      try {
        await pro.ask('XADD', 'frames', '*', 'f', frame);
        sent.update(frame);
        i++;
      } catch (cause) {
        // A full buffer says so, and the producer tries again.
        assert.match(String(cause), /OOM/);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  const consume = async (): Promise<void> => {
    for (let i = 0; i < COUNT; ) {
      const answer = await readGroup(port);
      for (const [id, frame] of answer) {
        got.update(frame);
        await con.ask('XACK', 'frames', 'workers', id);
        i++;
      }
      if (i % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await Promise.all([produce(), consume()]);
  assert.equal(got.digest('hex'), sent.digest('hex'));
  await until('the buffer is empty', () => broker.observe()[0]?.counters.buffered === 0);
  const { messagesIn, messagesOut } = broker.observe()[0]?.counters ?? {};
  assert.deepEqual([messagesIn, messagesOut], [COUNT, COUNT]);
  pro.client.destroy();
  con.client.destroy();
});

/** node-redis gives strings; octets are read by hand. */
async function readGroup(port: number): Promise<[string, Buffer][]> {
  const socket = net.connect(port, '127.0.0.1');
  try {
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => void parts.push(part));
    const words = (...w: string[]): string => `*${w.length}\r\n${w.map((x) => `$${x.length}\r\n${x}\r\n`).join('')}`;
    socket.write(words('AUTH', 'con', 'con-password'));
    socket.write(words('XREADGROUP', 'GROUP', 'workers', 'w', 'COUNT', '4', 'BLOCK', '1000', 'STREAMS', 'frames', '>'));
    for (;;) {
      const read = parseEntries(Buffer.concat(parts).subarray('+OK\r\n'.length));
      if (read !== undefined) return read;
      assert.ok(!socket.destroyed, 'closed');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  } finally {
    socket.destroy();
  }
}

/** `*1 *2 key *N (*2 id *2 f frame)…`; undefined while it is not whole. */
function parseEntries(octets: Buffer): [string, Buffer][] | undefined {
  let at = 0;
  const line = (): string | undefined => {
    const end = octets.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const text = octets.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  const value = (): unknown => {
    const head = line();
    if (head === undefined) throw new RangeError('more');
    const count = Number(head.slice(1));
    if (count < 0) return [];
    if (head.startsWith('*')) return Array.from({ length: count }, value);
    if (octets.length < at + count + 2) throw new RangeError('more');
    const bulk = octets.subarray(at, at + count);
    at += count + 2;
    return Buffer.from(bulk);
  };
  try {
    const streams = value() as [Buffer, [Buffer, [Buffer, Buffer]][]][];
    return streams.flatMap(([, entries]) => entries.map(([id, [, frame]]): [string, Buffer] => [String(id), frame]));
  } catch (cause) {
    if (cause instanceof RangeError) return undefined;
    throw cause;
  }
}

test('each role has its rights and no more, whatever it asks for', { skip }, async () => {
  const { broker } = newBroker();
  const it = lease();
  await broker.ensure(it, []);
  const port = portOf(broker, it.stream);
  const [pro, con] = [await connect(port, 'pro'), await connect(port, 'con')];
  const id = String(await pro.ask('XADD', 's', '*', 'f', 'v'));
  const refused = /NOPERM|WRONGPASS|not allowed|out of range/;
  for (const words of [
    ['XREAD', 'STREAMS', 's', '0'],
    ['XRANGE', 's', '-', '+'],
    ['GET', 's'],
  ])
    await assert.rejects(pro.ask(...words), refused, words[0]);
  for (const words of [
    ['XADD', 's', '*', 'f', 'v'],
    ['PUBLISH', 'c', 'x'],
    ['SET', 'k', 'v'],
    ['DEL', 's'],
  ])
    await assert.rejects(con.ask(...words), refused, words[0]);
  for (const words of [
    ['CONFIG', 'GET', '*'],
    ['ACL', 'LIST'],
    ['FLUSHALL'],
    ['CLIENT', 'LIST'],
    ['CLIENT', 'KILL', 'TYPE', 'normal'],
    ['EVAL', 'return 1', '0'],
    ['MONITOR'],
    ['DEBUG', 'SLEEP', '1'],
    ['SHUTDOWN'],
    ['AUTH', 'consumer', 'guess'],
    ['KEYS', '*'],
    ['SELECT', '1'],
  ])
    for (const who of [pro, con]) await assert.rejects(who.ask(...words), refused, words.join(' '));
  assert.equal(await con.ask('XLEN', 's'), 1);
  assert.match(JSON.stringify(await con.ask('XRANGE', 's', '-', '+')), new RegExp(id));
  pro.client.destroy();
  con.client.destroy();
});

test('who has no credential, a wrong one, an expired one, or comes from elsewhere, is told so in Redis’ words and counted', {
  skip,
}, async () => {
  const { broker, events } = newBroker();
  const it = lease({ credentials: [credential('pro', 'producer'), credential('old', 'producer', -1000)] });
  await broker.ensure(it, []);
  const port = portOf(broker, it.stream);
  await assert.rejects(connect(port, 'pro', 'wrong'), /WRONGPASS user name or password is wrong/);
  await assert.rejects(connect(port, 'nobody'), /WRONGPASS user name or password is wrong/);
  await assert.rejects(connect(port, 'old'), /WRONGPASS the credential has expired/);
  const bare = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: false } });
  bare.on('error', () => undefined);
  await assert.rejects(bare.connect(), /NOAUTH/);
  await broker.ensure({ ...it, externalAddresses: ['192.0.2.0/24'] }, []);
  await assert.rejects(connect(port, 'pro'), /address 127\.0\.0\.1 is not listed/);
  await broker.ensure({ ...it, externalShut: true }, []);
  await assert.rejects(connect(port, 'pro'), /locked down/);
  await until('all refusals are counted', () => (broker.observe()[0]?.counters.refused ?? 0) >= 5);
  assert.ok(events.filter((e) => e.kind === 'refused').length >= 5);
});

test('a revoked credential’s connections are cut, those of others stay; a job’s credential is let in from anywhere and fenced by the next', {
  skip,
}, async () => {
  const { broker, events } = newBroker();
  const it = lease({ externalAddresses: ['192.0.2.0/24', '127.0.0.1/32'] });
  const local = (attempt: number) => ({
    id: `clm.${attempt}`,
    stream: it.stream,
    role: 'consumer' as const,
    username: `clm.${attempt}`,
    passwordDigest: digest(`clm.${attempt}-password`),
  });
  await broker.ensure(it, [local(1)]);
  const port = portOf(broker, it.stream);
  const [pro, con, job] = [await connect(port, 'pro'), await connect(port, 'con'), await connect(port, 'clm.1')];
  assert.ok(broker.used('clm.1'));
  const ended = new Promise((resolve) => pro.client.once('error', resolve));
  await broker.ensure({ ...it, credentials: it.credentials.filter((c) => c.id !== 'pro') }, [local(1)]);
  await ended;
  assert.equal(await con.ask('PING'), 'PONG');
  assert.equal(await job.ask('PING'), 'PONG');
  await broker.ensure({ ...it, externalAddresses: ['192.0.2.0/24'] }, [local(2)]);
  await until('both are cut', () => broker.observe()[0]?.connections.length === 0);
  const next = await connect(port, 'clm.2');
  assert.equal(await next.ask('PING'), 'PONG');
  next.client.destroy();
  const cuts = events.filter((e) => e.kind === 'disconnected').map((e) => String(e.detail['reason']));
  assert.ok(
    cuts.every((reason) => /^cut: its credential was revoked/.test(reason)),
    cuts.join(),
  );
});

test('what a message quota allows is taken and no message more; producers are told, consumers go on, and a later agent counts on', {
  skip,
}, async () => {
  const { broker, folder } = newBroker();
  const it = lease({ messageQuota: 10 });
  await broker.ensure(it, []);
  const port = portOf(broker, it.stream);
  const [pro, idle, con] = [await connect(port, 'pro'), await connect(port, 'pro'), await connect(port, 'con')];
  const answers = await Promise.allSettled(
    Array.from({ length: 14 }, (_, i) => pro.ask('XADD', 'frames', '*', 'f', String(i))),
  );
  assert.deepEqual(
    answers.map((a) => a.status),
    [...Array.from({ length: 10 }, () => 'fulfilled'), ...Array.from({ length: 4 }, () => 'rejected')],
  );
  assert.match(String((answers[10] as PromiseRejectedResult).reason), /messageQuota of 10 is used up/);
  await until('the idle one is cut too', () => !idle.client.isOpen);
  await assert.rejects(connect(port, 'pro'), /WRONGPASS .*messageQuota of 10/);
  assert.equal(await con.ask('XLEN', 'frames'), 10);
  const usage = broker.observe()[0]?.usage;
  assert.equal(usage?.messages, 10);
  assert.match(usage?.reached ?? '', /messageQuota/);
  // More of it: producers come in again.
  await broker.ensure({ ...it, messageQuota: 11 }, []);
  const again = await connect(port, 'pro');
  await again.ask('XADD', 'frames', '*', 'f', 'x');
  await broker.ensure(it, []);
  await broker.close(it.stream, 'the agent ends');
  assert.ok(usage !== undefined);
  const later = newBroker(folder, () => usage);
  await later.broker.ensure(it, []);
  await assert.rejects(connect(portOf(later.broker, it.stream), 'pro'), /messageQuota of 10/);
  await (await connect(portOf(later.broker, it.stream), 'con')).ask('XLEN', 'frames');
});

test('of a byte quota not an octet more reaches Redis', { skip }, async () => {
  const { broker } = newBroker();
  const it = lease({ byteQuota: 5 * MIB });
  await broker.ensure(it, []);
  const pro = await connect(portOf(broker, it.stream), 'pro');
  const answers = await Promise.allSettled(
    Array.from({ length: 8 }, () => pro.ask('XADD', 'frames', '*', 'f', Buffer.alloc(MIB))),
  );
  assert.equal(answers.filter((a) => a.status === 'fulfilled').length, 4);
  assert.equal(broker.observe()[0]?.usage?.bytes, 5 * MIB);
  assert.match(String((answers[4] as PromiseRejectedResult).reason), /byteQuota of 5242880/);
});

test('while it is paused nothing that producers send is read, consumers go on; resumed, all of it comes, whole and in order', {
  skip,
}, async () => {
  const { broker } = newBroker();
  const it = lease();
  await broker.ensure(it, []);
  const port = portOf(broker, it.stream);
  const [pro, con] = [await connect(port, 'pro'), await connect(port, 'con')];
  await pro.ask('XADD', 'frames', '*', 'f', 'before');
  await broker.ensure({ ...it, paused: true }, []);
  const before = broker.observe()[0]?.usage;
  const answers = Array.from({ length: 30 }, (_, i) => pro.ask('XADD', 'frames', '*', 'f', Buffer.alloc(MIB, i)));
  const late = await connect(port, 'pro');
  const lateAnswer = late.ask('XADD', 'frames', '*', 'late', 'x');
  let answered = 0;
  for (const answer of [...answers, lateAnswer]) void answer.then(() => void answered++);
  for (let i = 0; i < 20; i++) assert.equal(await con.ask('XLEN', 'frames'), 1);
  assert.deepEqual(broker.observe()[0]?.usage, before);
  await broker.ensure({ ...it, paused: true }, []);
  assert.equal(answered, 0);
  await broker.ensure(it, []);
  await Promise.all([...answers, lateAnswer]);
  assert.equal(await con.ask('XLEN', 'frames'), 32);
  // And once more, with a producer that is in the middle of what it sends.
  const more = Array.from({ length: 20 }, () => pro.ask('XADD', 'other', '*', 'f', Buffer.alloc(MIB)));
  await broker.ensure({ ...it, paused: true }, []);
  await broker.ensure(it, []);
  await Promise.all(more);
  assert.equal(await con.ask('XLEN', 'other'), 20);
});

test('a redis-server that is killed is there again, empty, and that is said; nobody keeps a connection to the old one', {
  skip,
}, async () => {
  const { broker, events } = newBroker();
  const it = lease();
  await broker.ensure(it, []);
  const port = portOf(broker, it.stream);
  const pro = await connect(port, 'pro');
  await pro.ask('XADD', 's', '*', 'f', 'v');
  const ended = new Promise((resolve) => pro.client.once('error', resolve));
  process.kill(pidOf(it.stream), 'SIGKILL');
  await ended;
  await until('it is said', () => events.some((e) => e.kind === 'broker-lost'));
  await until('it is ready', () => broker.observe()[0]?.state === 'ready');
  const again = await connect(port, 'pro');
  assert.equal(await again.ask('XLEN', 's'), 0);
  again.client.destroy();
});

/** Of the redis-server of that stream, by its working directory. */
function pidOf(stream: string): number {
  const found = readdirSync('/proc').find((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`).endsWith(`/${stream}`);
    } catch {
      return false;
    }
  });
  return Number(found);
}

test('after the agent’s own kill the data are still there; what is wanted no more is ended', { skip }, async () => {
  const folder = join(place, 'killed');
  const [kept, unwanted] = [lease(), lease()];
  const entry = new URL('redis-and-die.fixture.ts', import.meta.url).pathname;
  const agent = spawn(process.execPath, [entry, JSON.stringify({ folder, leases: [kept, unwanted] })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(agent.stdout, 'data')) as [Buffer];
  const [port = 0] = JSON.parse(said.toString()) as number[];
  const pro = await connect(port, 'pro');
  await pro.ask('XADD', 's', '*', 'f', 'v');
  const gone = once(agent, 'exit');
  agent.kill('SIGKILL');
  await gone;
  const { broker: second } = newBroker(folder);
  assert.deepEqual(
    second
      .observe()
      .map((o) => [o.stream, o.state])
      .sort(),
    [kept, unwanted].map((l) => [l.stream, 'failed']).sort(),
  );
  await second.ensure(kept, []);
  await second.close(unwanted.stream, 'released');
  assert.ok(!existsSync(join(folder, unwanted.stream)));
  const con = await connect(portOf(second, kept.stream), 'con');
  assert.equal(await con.ask('XLEN', 's'), 1);
  con.client.destroy();
  const pid = pidOf(kept.stream);
  await second.close(kept.stream, 'released');
  assert.ok(!existsSync(`/proc/${pid}/cwd`) && readdirSync(folder).length === 0);
});

test('strangers who only connect take nothing for long, and no slab is left behind by anybody', { skip }, async () => {
  const { broker } = newBroker();
  const it = lease({ maxConnections: 8 });
  await broker.ensure(it, []);
  const port = portOf(broker, it.stream);
  const sockets = Array.from({ length: 300 }, () => net.connect(port, '127.0.0.1').on('error', () => undefined));
  await until('most are refused', () => (broker.observe()[0]?.counters.refused ?? 0) >= 292);
  for (const socket of sockets) socket.destroy();
  let pro: Awaited<ReturnType<typeof connect>> | undefined;
  const admitted = async (): Promise<boolean> => {
    pro = await connect(port, 'pro').catch(() => undefined);
    return pro !== undefined;
  };
  await until('there is room again', admitted);
  for (const garbage of ['*3\r\n$4\r\nXADD', '*1\r\n:1\r\n', '\0'.repeat(5000), `*1\r\n$${5 * MIB}\r\n`]) {
    const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
    socket.write('AUTH pro pro-password\r\n');
    socket.write(garbage);
    await new Promise((resolve) => setTimeout(resolve, 30));
    socket.destroy();
  }
  assert.equal((await pro?.ask('XADD', 's', '*', 'f', 'x'.repeat(MIB))) !== undefined, true);
  pro?.client.destroy();
  await until('nobody is left', () => broker.observe()[0]?.connections.length === 0);
});

test('Debian’s python3-redis speaks to it as to any Redis', {
  skip: skip || !existsSync('/usr/lib/python3/dist-packages/redis'),
}, async () => {
  const { broker } = newBroker();
  const it = lease();
  await broker.ensure(it, []);
  const script = `
import sys, redis
port = int(sys.argv[1])
pro = redis.Redis(port=port, username='pro', password='pro-password')
con = redis.Redis(port=port, username='con', password='con-password')
con.xgroup_create('frames', 'g', id='0', mkstream=True)
for i in range(50): pro.xadd('frames', {'f': bytes([i]) * 100000})
got = []
while len(got) < 50:
    for _, entries in con.xreadgroup('g', 'c', {'frames': '>'}, count=7, block=1000):
        for id, fields in entries:
            got.append(fields[b'f']); con.xack('frames', 'g', id)
assert got == [bytes([i]) * 100000 for i in range(50)]
sub = con.pubsub(ignore_subscribe_messages=True); sub.subscribe('steer'); sub.get_message(timeout=1)
pro.publish('steer', b'go')
m = None
while m is None: m = sub.get_message(timeout=1)
assert m['data'] == b'go'
try: con.xadd('frames', {'f': b'x'}); raise SystemExit('a consumer may not produce')
except redis.exceptions.NoPermissionError: print('well')
`;
  const child = spawn('/usr/bin/python3', ['-c', script, String(portOf(broker, it.stream))], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (part: Buffer) => {
      said += part;
    });
  await new Promise((resolve) => child.once('close', resolve));
  assert.equal(said.trim(), 'well');
});
