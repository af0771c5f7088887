import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import zmq from 'zeromq';
import { quotaMeter } from '../../quota.ts';
import { PASSWORD, type TestRelay, testRelay, until } from './relay-fixture.ts';

function push(t: TestContext, relay: TestRelay, options: object = {}): zmq.Push {
  const socket = new zmq.Push({ plainUsername: 'producer', plainPassword: PASSWORD, linger: 0, ...options });
  t.after(() => socket.close());
  socket.connect(relay.url);
  return socket;
}

function pull(t: TestContext, relay: TestRelay, options: object = {}): zmq.Pull {
  const socket = new zmq.Pull({ plainUsername: 'consumer', plainPassword: PASSWORD, linger: 0, ...options });
  t.after(() => socket.close());
  socket.connect(relay.url);
  return socket;
}

const seeded = (bytes: number, seed: number): Buffer => {
  const block = createHash('sha512').update(String(seed)).digest();
  return Buffer.alloc(bytes, block);
};
const sha1 = (parts: readonly Buffer[]): string => {
  const hash = createHash('sha1');
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex');
};

/** Octets 0-3 producer, 4-7 sequence, seeded content; `n` of them, then the digests in order. */
async function sendFrames(socket: zmq.Push, producer: number, n: number): Promise<string[]> {
  const digests: string[] = [];
  for (let sequence = 0; sequence < n; sequence += 1) {
    const frame = seeded(65_536, producer * 100_000 + sequence);
    frame.writeUInt32BE(producer, 0);
    frame.writeUInt32BE(sequence, 4);
    digests.push(sha1([frame]));
    await socket.send(frame);
  }
  return digests;
}

for (const readInPlace of [true, false]) {
  const how = readInPlace ? 'read in place' : "read by 'data' events";
  test(`2,000 frames of 64 KiB keep content and order under back-pressure (${how})`, async (t) => {
    const relay = await testRelay(t, { readInPlace, bufferBytes: 2 * 1024 * 1024 });
    const producer = push(t, relay, { sendHighWaterMark: 4 });
    const consumer = pull(t, relay, { receiveHighWaterMark: 4 });
    const sent = sendFrames(producer, 1, 2000);
    const got: string[] = [];
    let waited = false;
    for await (const parts of consumer) {
      got.push(sha1(parts));
      if (got.length === 2000) break;
      // Pauses long enough that libzmq's and the kernel's buffers run full and the relay has to stop reading.
      if (got.length % 500 === 1) {
        await until('the producer waits', () => relay.counters().producersWaiting === 1);
        waited = true;
      }
    }
    assert.ok(waited);
    assert.deepEqual(got, await sent);
    const counters = relay.counters();
    assert.equal(counters.dropped, 0);
    assert.equal(counters.messagesIn, 2000);
    assert.ok(counters.memoryBytes < 16 * 1024 * 1024, `${counters.memoryBytes} bytes for a 2 MiB buffer`);
  });
}

test('two producers and three consumers lose nothing and repeat nothing', async (t) => {
  const relay = await testRelay(t);
  const producers = [push(t, relay), push(t, relay, { plainUsername: 'producer-2' })];
  const consumers = [pull(t, relay), pull(t, relay), pull(t, relay)];
  await until('five connections', () => relay.counters().connections.length === 5);
  const got: string[] = [];
  const counts = consumers.map(() => 0);
  const receiving = consumers.map(async (consumer, at) => {
    for await (const parts of consumer) {
      got.push(sha1(parts));
      counts[at] = (counts[at] ?? 0) + 1;
      if (at === 0 && got.length % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  });
  const sent = (await Promise.all(producers.map((producer, at) => sendFrames(producer, at, 400)))).flat();
  await until('all frames', () => got.length === sent.length);
  assert.deepEqual(got.sort(), sent.sort());
  assert.ok(
    counts.every((count) => count > 0),
    `every consumer gets some: ${counts}`,
  );
  for (const consumer of consumers) consumer.close();
  await Promise.all(receiving);
});

test('multipart messages of 1 B to 8 MiB arrive part by part as they were sent', async (t) => {
  const relay = await testRelay(t);
  const producer = push(t, relay);
  const consumer = pull(t, relay);
  const size = fc.oneof(
    fc.constantFrom(0, 1, 255, 256, 65_535, 65_536, 1_048_576, 8_388_608),
    fc.integer({ min: 0, max: 300_000 }),
  );
  const sizes = fc.sample(fc.array(size, { minLength: 1, maxLength: 4 }), { numRuns: 60, seed: 7 });
  const messages = sizes
    .map((parts) => parts.map((bytes, at) => seeded(bytes, at + 1)))
    .filter((parts) => parts.reduce((sum, part) => sum + part.length, 0) <= 16 * 1024 * 1024);
  const sending = (async () => {
    for (const parts of messages) await producer.send(parts);
  })();
  for (const parts of messages) assert.equal(sha1(await consumer.receive()), sha1(parts));
  await sending;
});

test('wrong credentials and wrong socket types are refused, and libzmq does not hammer', async (t) => {
  const relay = await testRelay(t);
  push(t, relay, { plainPassword: 'wrong', reconnectInterval: 1 });
  const anonymous = new zmq.Push({ linger: 0, reconnectInterval: 1 });
  t.after(() => anonymous.close());
  anonymous.connect(relay.url);
  pull(t, relay, { plainUsername: 'producer', reconnectInterval: 1 });
  await until('three refusals', () => relay.refusals().length === 3);
  assert.deepEqual([...relay.refusals()].sort(), [
    'mechanism NULL: no credentials (set plain_username and plain_password)',
    'socket type PULL, this credential needs PUSH',
    'user name or password is wrong',
  ]);
  // A good connection afterwards is a round trip later: nobody reconnected meanwhile.
  push(t, relay);
  await until('a good one', () => relay.counters().producers === 1);
  assert.equal(relay.counters().refused, 3);
});

test('a producer that pings keeps its line while it has to wait', async (t) => {
  const relay = await testRelay(t, { bufferBytes: 64 * 1024 });
  const heartbeat = { heartbeatInterval: 200, heartbeatTimeout: 600 };
  const producer = push(t, relay, { ...heartbeat, sendHighWaterMark: 1 });
  const idle = pull(t, relay, { receiveHighWaterMark: 1 });
  await until('both', () => relay.counters().connections.length === 2);
  // Two of its pings pass: the relay knows that it has heartbeats.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const stopped = (async () => {
    for (let n = 0; n < 400; n += 1) await producer.send(seeded(65_536, n));
  })().catch(() => undefined);
  await until('the producer waits', () => relay.counters().producersWaiting === 1);
  // Three heartbeat time-outs pass with nobody reading the producer's socket.
  await new Promise((resolve) => setTimeout(resolve, 1800));
  assert.equal(relay.events.filter(({ kind }) => kind === 'disconnected').length, 0);
  for (let n = 0; n < 400; n += 1) assert.equal(sha1(await idle.receive()), sha1([seeded(65_536, n)]));
  await stopped;
});

test('a producer that closes while it has to wait loses nothing', async (t) => {
  const relay = await testRelay(t, { bufferBytes: 64 * 1024 });
  const producer = new zmq.Push({ plainUsername: 'producer', plainPassword: PASSWORD, linger: 10_000 });
  producer.connect(relay.url);
  for (let n = 0; n < 30; n += 1) await producer.send(seeded(65_536, n));
  producer.close();
  await until('the producer waits', () => relay.counters().producersWaiting === 1);
  // Time in which a relay that says something to a closed peer would have it reset the connection.
  await new Promise((resolve) => setTimeout(resolve, 600));
  const consumer = pull(t, relay);
  for (let n = 0; n < 30; n += 1) assert.equal(sha1(await consumer.receive()), sha1([seeded(65_536, n)]));
  assert.equal(relay.counters().truncated, 0);
});

test('drop-oldest drops whole oldest messages and counts them', async (t) => {
  const relay = await testRelay(t, { overflow: 'drop-oldest', bufferBytes: 1024 * 1024 });
  const producer = push(t, relay);
  for (let n = 0; n < 100; n += 1) await producer.send([Buffer.from(String(n)), seeded(65_536, n)]);
  await until('all in', () => relay.counters().messagesIn === 100);
  const { dropped, droppedBytes, buffered } = relay.counters();
  assert.equal(dropped + buffered.messages, 100);
  assert.ok(buffered.bytes <= 1024 * 1024);
  assert.ok(droppedBytes > 80 * 65_536);
  const consumer = pull(t, relay);
  for (let n = dropped; n < 100; n += 1) assert.equal(String((await consumer.receive())[0]), String(n));
  await until('the event', () => relay.events.some((event) => event.kind === 'dropped' && event.messages > 0));
});

test('cut closes the live connections of one credential and of no other', async (t) => {
  const relay = await testRelay(t);
  push(t, relay);
  push(t, relay, { plainUsername: 'producer-2' });
  await until('two', () => relay.counters().producers === 2);
  assert.equal(relay.cut('producer-2', 'revoked'), 1);
  await until('the event', () => relay.events.some((event) => event.kind === 'disconnected'));
  const event = relay.events.find(({ kind }) => kind === 'disconnected');
  assert.ok(event?.kind === 'disconnected' && event.reason === 'cut: revoked' && event.credentialId === 'producer-2');
  assert.ok(relay.counters().connections.some(({ credentialId }) => credentialId === 'producer'));
});

test('drain takes no new producer and ends when consumers have everything; with no consumer it gives up', async (t) => {
  const relay = await testRelay(t);
  const producer = push(t, relay, { linger: 5000 });
  for (let n = 0; n < 20; n += 1) await producer.send(seeded(65_536, n));
  await until('all in', () => relay.counters().messagesIn === 20);
  assert.equal(await relay.drain(50), false);
  push(t, relay, { plainUsername: 'producer-late' });
  await until('refused', () => relay.refusals().includes('the stream is ending'));
  const consumer = pull(t, relay);
  const got = (async () => {
    for (let n = 0; n < 20; n += 1) assert.equal(sha1(await consumer.receive()), sha1([seeded(65_536, n)]));
  })();
  assert.equal(await relay.drain(5000), true);
  await got;
});

test('beyond its quota a relay takes no message; consumers get what was taken', async (t) => {
  const quota = quotaMeter(() => ({ byteQuota: 0, messageQuota: 25 }));
  const relay = await testRelay(t, { quota });
  const producer = push(t, relay, { sendTimeout: 200 });
  const consumer = pull(t, relay);
  const sending = (async () => {
    for (let i = 0; i < 40; i++) await producer.send(seeded(1000, i)).catch(() => undefined);
  })();
  for (let i = 0; i < 25; i++) {
    const [frame] = await consumer.receive();
    assert.ok(frame?.equals(seeded(1000, i)), String(i));
  }
  await until('the producer is ended with the reason', () =>
    relay.events.some((e) => e.kind === 'disconnected' && /messageQuota of 25 is used up/.test(e.reason)),
  );
  await sending;
  assert.equal(relay.counters().messagesIn, 25);
  assert.equal(quota.usage().messages, 25);
});

test('a relay that is paused reads no producer, on which heartbeats go on; resumed, nothing is lost or repeated', async (t) => {
  let held = false;
  const relay = await testRelay(t, { isHeld: () => held });
  const beats = { heartbeatInterval: 200, heartbeatTimeout: 600 };
  const producer = push(t, relay, { sendHighWaterMark: 2, ...beats });
  const consumer = pull(t, relay);
  await producer.send(seeded(1000, 0));
  await consumer.receive();
  const begun = performance.now();
  await until('it has pinged, so that the relay knows it does', () => performance.now() - begun > 500);
  held = true;
  relay.rehold();
  const sending = (async () => {
    for (let i = 1; i <= 40; i++) await producer.send(seeded(500_000, i));
  })();
  const since = performance.now();
  await until('two time-outs passed', () => performance.now() - since > 1300);
  const { messagesIn, producersWaiting, connections } = relay.counters();
  assert.deepEqual([messagesIn, producersWaiting, connections.length], [1, 1, 2]);
  held = false;
  relay.rehold();
  for (let i = 1; i <= 40; i++) {
    if (i === 20) {
      held = true;
      relay.rehold();
      held = false;
      relay.rehold();
    }
    const [frame] = await consumer.receive();
    assert.ok(frame?.equals(seeded(500_000, i)), String(i));
  }
  await sending;
  assert.equal(relay.counters().messagesIn, 41);
});
