// Bad input before a real RabbitMQ: strangers that only connect, readers that do not read, frame sizes, credentials of others and of yesterday, alarms of memory and disk. Nothing that was confirmed is lost, every close has a reason.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import {
  longString,
  METHOD,
  methodFrame,
  methodOf,
  PROTOCOL_HEADER,
  readFrame,
  readShortString,
  shortString,
} from '../amqp/index.ts';
import { connect, credential, MIB, portOf, rabbitLease, testBroker, until, whyNoRabbit } from './rabbitmq.fixture.ts';

const skip = whyNoRabbit;
const timeout = 120_000;
const place = mkdtempSync(join(tmpdir(), 'beamway-rabbit-bad-'));
const folder = join(place, 'node');
let node: ReturnType<typeof testBroker>;

before(async () => {
  if (skip !== false) return;
  node = testBroker(folder);
  await opened();
});
afterEach(async () => {
  for (const { stream } of node?.broker.observe() ?? []) await node.broker.close(stream, 'the test is over');
});
after(async () => {
  await node?.broker.stop();
  rmSync(place, { recursive: true, force: true });
});

async function opened(over: Parameters<typeof rabbitLease>[0] = {}) {
  const lease = rabbitLease(over);
  await node.broker.ensure(lease, []);
  const seen = () => node.broker.observe().find((o) => o.stream === lease.stream);
  await until('it is ready', () => seen()?.state === 'ready', 60_000);
  return { lease, port: portOf(node.broker, lease.stream), seen };
}

const reasonsOf = (kind: string): readonly string[] =>
  node.events.filter((e) => e.kind === kind).map((e) => String(e.detail['reason']));

/** Publishes `count` messages of `bytes` and waits until all are confirmed; their digest. */
async function put(port: number, count: number, bytes = 1000): Promise<string> {
  const { connection } = await connect(port, 'pro');
  const out = await connection.createConfirmChannel();
  const sent = createHash('sha256');
  for (let i = 0; i < count; i++) {
    const frame = randomBytes(bytes);
    sent.update(frame);
    out.sendToQueue('frames', frame, { persistent: true });
  }
  await out.waitForConfirms();
  await connection.close();
  return sent.digest('hex');
}

/** Takes `count` messages; their digest. */
async function take(port: number, count: number): Promise<string> {
  const { connection } = await connect(port, 'con');
  const into = await connection.createChannel();
  const got = createHash('sha256');
  let taken = 0;
  await into.consume('frames', (m) => {
    if (m === null) return;
    got.update(m.content);
    into.ack(m);
    taken += 1;
  });
  await until('all are there', () => taken === count);
  await connection.close();
  return got.digest('hex');
}

test('a thousand that only connect, or say half of it, keep out nobody who says who it is; each is gone with a reason', {
  skip,
  timeout,
}, async () => {
  const { lease, port, seen } = await opened({ maxConnections: 16 });
  const [pro, con] = [await connect(port, 'pro'), await connect(port, 'con')];
  const out = await pro.connection.createConfirmChannel();
  const into = await con.connection.createChannel();
  const [sent, got] = [createHash('sha256'), createHash('sha256')];
  let received = 0;
  await into.consume('frames', (m) => {
    if (m === null) return;
    got.update(m.content);
    into.ack(m);
    received += 1;
  });
  const halves = ['', 'AMQP', 'AMQP\0\0\x09\x01', 'AMQP\0\0\x09\x01\x01\0\0\0\0\x10\0'];
  const strangers: net.Socket[] = [];
  let closed = 0;
  let published = 0;
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 100; i++) {
      const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
      socket.once('close', () => {
        closed += 1;
      });
      socket.resume();
      const half = halves[i % halves.length] ?? '';
      if (half !== '') socket.write(Buffer.from(half, 'latin1'));
      strangers.push(socket);
    }
    for (let i = 0; i < 20; i++) {
      const frame = randomBytes(20_000);
      sent.update(frame);
      out.sendToQueue('frames', frame);
      published += 1;
    }
    await out.waitForConfirms();
    // While fourteen of them are connected: one more that has a credential is let in.
    await until('there is room for who says who it is', async () => {
      const late = await connect(port, 'pro').catch(() => undefined);
      await late?.connection.close();
      return late !== undefined;
    });
  }
  await until('all arrived', () => received === published);
  assert.equal(got.digest('hex'), sent.digest('hex'));
  await until('no more than there is room for are left', () => strangers.length - closed <= 14);
  const ours = node.events.filter((e) => e.stream === lease.stream && e.kind === 'refused');
  assert.ok(ours.length >= 1000 - 14, `${ours.length} refusals`);
  assert.ok(ours.every((e) => String(e.detail['reason']).length > 0));
  assert.ok(reasonsOf('refused').includes('another connection came before it had said who it is'));
  assert.deepEqual([pro.errors, con.errors], [[], []]);
  for (const socket of strangers) socket.destroy();
  await pro.connection.close();
  await con.connection.close();
  await until('nobody is left', () => seen()?.connections.length === 0);
});

test('connections of those who are let in are bounded all the same: one too many is told so', {
  skip,
  timeout,
}, async () => {
  const { port } = await opened({ maxConnections: 2 });
  const both = [await connect(port, 'pro'), await connect(port, 'con')];
  await assert.rejects(connect(port, 'pro'), /ConnectionClose|too many connections/);
  await until('it is recorded', () => reasonsOf('refused').includes('more than 2 connections'));
  for (const { connection } of both) await connection.close();
});

test('a consumer that does not read makes its producer’s messages wait in the queue, not in the gateway, and others go on; what it did not take is there', {
  skip,
  timeout,
}, async () => {
  const { port, seen } = await opened({ bufferBytes: 128 * MIB });
  const COUNT = 48;
  const sent = await put(port, COUNT, MIB);
  const slow = await connect(port, 'con');
  const socket = (slow.connection as unknown as { connection: { stream: net.Socket } }).connection.stream;
  const stuck = await slow.connection.createChannel();
  await stuck.consume('frames', () => undefined);
  await until('some is under way', () => (seen()?.counters.messagesOut ?? 0) > 0);
  socket.pause();
  // Others are served meanwhile: its messages are refused to nobody, and wait.
  const other = await connect(port, 'con');
  const { consumerCount } = await (await other.connection.createChannel()).checkQueue('frames');
  assert.equal(consumerCount, 1);
  await other.connection.close();
  socket.destroy();
  await until('the slow one is gone', () => seen()?.counters.consumers === 0);
  assert.equal(await take(port, COUNT), sent);
});

test('a frame size other than RabbitMQ’s is agreed with it: smaller passes whole; larger and too small are refused with words', {
  skip,
  timeout,
}, async () => {
  const { port } = await opened();
  const body = randomBytes(300_000);
  for (const frameMax of [4096, 131_072]) {
    const pro = await connect(port, 'pro', { frameMax });
    const con = await connect(port, 'con', { frameMax });
    const out = await pro.connection.createConfirmChannel();
    out.sendToQueue('frames', body);
    await out.waitForConfirms();
    const message = await (await con.connection.createChannel()).get('frames', { noAck: true });
    assert.ok(message !== false && message.content.equals(body), `with frames of ${frameMax}`);
    await pro.connection.close();
    await con.connection.close();
  }
  // 0 is "no limit" to the protocol, and more than what was offered.
  for (const [frameMax, words] of [
    [0, 'NOT_ALLOWED - frame_max 0 is more than the offered 131072'],
    [1_000_000, 'NOT_ALLOWED - frame_max 1000000 is more than the offered 131072'],
    [100, 'NOT_ALLOWED - frame_max 100 is less than 4096'],
  ] as const)
    assert.equal(await tuneWith(port, frameMax), words);
  await (await connect(port, 'pro')).connection.close();
});

/** Answers Tune with that frame size, whatever was offered; what the gateway says at the end. amqplib would take the smaller of the two. */
async function tuneWith(port: number, frameMax: number): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  let held: Buffer = Buffer.alloc(0);
  let said = '';
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(said)));
  socket.on('error', () => undefined);
  socket.write(PROTOCOL_HEADER);
  const tune = Buffer.alloc(8);
  tune.writeUInt16BE(16, 0);
  tune.writeUInt32BE(frameMax, 2);
  socket.on('data', (part: Buffer) => {
    held = Buffer.concat([held, part]);
    for (;;) {
      const read = readFrame(held, 0, 131_072);
      if (read.kind !== 'frame') return;
      held = held.subarray(read.end);
      const method = methodOf(read.frame);
      if (method === METHOD.start) {
        const login = longString(Buffer.from('\0pro\0pro-password'));
        const fields = [longString(Buffer.alloc(0)), shortString('PLAIN'), login, shortString('en_US')];
        socket.write(methodFrame(METHOD.startOk, ...fields));
      } else if (method === METHOD.tune) {
        socket.write(methodFrame(METHOD.tuneOk, tune));
        socket.write(methodFrame(METHOD.open, shortString('/'), Buffer.of(0, 0)));
      } else {
        said = method === METHOD.close ? (readShortString(read.frame.payload, 6)?.toString() ?? '') : `${method}`;
        socket.destroy();
      }
    }
  });
  const timer = setTimeout(() => socket.destroy(), 15_000);
  return closed.finally(() => clearTimeout(timer));
}

test('a credential of another stream is nobody here; one that expires in mid-stream is cut with the reason, and what was confirmed is there', {
  skip,
  timeout,
}, async () => {
  const { lease, port } = await opened({ credentials: [credential('pro', 'producer'), credential('con', 'consumer')] });
  const { port: elsewhere } = await opened({ credentials: [credential('theirs', 'producer')] });
  await assert.rejects(connect(port, 'theirs'), /user name or password is wrong/);
  await (await connect(elsewhere, 'theirs')).connection.close();
  const pro = await connect(port, 'pro');
  const out = await pro.connection.createConfirmChannel();
  let confirmed = 0;
  let over = false;
  const done = new Promise<void>((resolve) => pro.connection.once('close', () => resolve()));
  void done.then(() => {
    over = true;
  });
  out.on('error', () => undefined);
  const pump = async (): Promise<void> => {
    while (!over) {
      await new Promise<void>((resolve) => {
        try {
          out.sendToQueue('frames', Buffer.alloc(1000), {}, (cause: unknown) => {
            if (cause === null || cause === undefined) confirmed += 1;
            resolve();
          });
        } catch {
          resolve();
        }
        void done.then(resolve);
      });
    }
  };
  const pumping = pump();
  await until('it is under way', () => confirmed > 20);
  // As the agent does each second; the lease itself did not change.
  const expiring = lease.credentials.map((c) => (c.id === 'pro' ? { ...c, expiresAtMs: Date.now() + 200 } : c));
  await until('it is cut', async () => {
    await node.broker.ensure({ ...lease, credentials: expiring }, []);
    return over;
  });
  await pumping;
  assert.match(pro.errors.join(), /320.*revoked or has expired/s);
  await assert.rejects(connect(port, 'pro'), /the credential has expired/);
  const con = await connect(port, 'con');
  const { messageCount } = await (await con.connection.createChannel()).checkQueue('frames');
  assert.ok(messageCount >= confirmed, `${messageCount} are there, ${confirmed} were confirmed`);
  await con.connection.close();
});

/** As an administrator of that host would; some 2 s. */
async function rabbitmqctl(...words: readonly string[]): Promise<string> {
  const at = join(folder, 'shared-open');
  const { ports } = JSON.parse(readFileSync(join(at, 'kept.json'), 'utf8')) as {
    ports: { epmd: number };
  };
  const env = {
    HOME: join(at, 'home'),
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    LANG: 'C.UTF-8',
    RABBITMQ_NODENAME: 'beamway@localhost',
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    ERL_EPMD_PORT: String(ports.epmd),
  };
  const [program = ''] = globSync('/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmqctl');
  return (await promisify(execFile)(program, [...words], { env, timeout: 60_000 })).stdout;
}

for (const [what, raise, lower] of [
  [
    'memory',
    ['set_vm_memory_high_watermark', 'absolute', '1000'],
    ['set_vm_memory_high_watermark', 'absolute', String(2048 * MIB)],
  ],
  ['disk', ['set_disk_free_limit', '100000GB'], ['set_disk_free_limit', '512MB']],
] as const)
  test(`an alarm of RabbitMQ’s ${what} reaches producers through the gateway as Blocked; heartbeats hold, consumers go on, and what was confirmed is there`, {
    skip,
    timeout,
  }, async () => {
    const { port } = await opened();
    const sent = await put(port, 100);
    // A heartbeat a second: two that are missed end the connection.
    const pro = await connect(port, 'pro', { heartbeat: 1 });
    const blocked: string[] = [];
    let unblocked = 0;
    pro.connection.on('blocked', (reason: string) => void blocked.push(reason));
    pro.connection.on('unblocked', () => {
      unblocked += 1;
    });
    const out = await pro.connection.createConfirmChannel();
    await rabbitmqctl(...raise);
    let confirmed = 0;
    // Told when it publishes, not before.
    out.sendToQueue('frames', Buffer.from('while the alarm is on'), { persistent: true }, (cause: unknown) => {
      if (cause === null || cause === undefined) confirmed += 1;
    });
    try {
      await until('it is told', () => blocked.length > 0);
      assert.match(blocked[0] ?? '', new RegExp(what));
      assert.equal(await take(port, 100), sent, 'consumers go on');
      // Longer than the heartbeats it would miss.
      await new Promise((resolve) => setTimeout(resolve, 4000));
      assert.deepEqual(pro.errors, []);
      assert.equal(unblocked, 0);
    } finally {
      await rabbitmqctl(...lower);
    }
    await until('it is over, and that is told too', () => unblocked > 0 && confirmed === 1);
    const con = await connect(port, 'con');
    const message = await (await con.connection.createChannel()).get('frames', { noAck: true });
    assert.equal(message === false ? '' : String(message.content), 'while the alarm is on');
    await con.connection.close();
    await pro.connection.close();
  });
