import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { encodeCommand, encodeFrame, encodeGreeting, encodeMessage, FLAG_LONG, FLAG_MORE } from '../../zmtp/index.ts';
import { helloOctets, rawPeer, readyPeer, testRelay, until } from './relay-fixture.ts';

test('random octets, other protocols and old versions are closed with a reason and leave nothing', async (t) => {
  const relay = await testRelay(t, { handshakeTimeoutMs: 300 });
  const samples = fc
    .sample(fc.uint8Array({ minLength: 1, maxLength: 300 }), { numRuns: 30, seed: 3 })
    .map((octets) => Buffer.from(octets));
  const bent = fc
    .sample(fc.tuple(fc.nat({ max: 100 }), fc.integer({ min: 1, max: 255 })), { numRuns: 30, seed: 4 })
    .map(([at, xor]) => {
      const octets = helloOctets('producer', 'PUSH', 'wrong');
      octets[at] = (octets[at] ?? 0) ^ xor;
      return octets;
    });
  const fixed = [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1, 7])];
  let refused = 0;
  for (const octets of [...samples, ...bent, ...fixed]) {
    const peer = await rawPeer(t, relay.endpoints.port);
    peer.socket.write(octets);
    await peer.closed();
    refused += 1;
    await until('the refusal', () => relay.counters().refused === refused);
  }
  assert.ok(relay.refusals().every((reason) => reason.length > 10));
  const last = relay.refusals().slice(-2);
  assert.match(last[0] ?? '', /not a ZMTP peer \(first octet 0x47\)/);
  assert.match(last[1] ?? '', /ZMTP 2.0 peer/);
  assert.deepEqual(relay.counters().connections, []);
  assert.equal(relay.counters().memoryBytes, 0);
});

test('half-open and slow handshakes end at the time-out, naming what was missing', async (t) => {
  const relay = await testRelay(t, { handshakeTimeoutMs: 150 });
  const silent = await rawPeer(t, relay.endpoints.port);
  const greeted = await rawPeer(t, relay.endpoints.port);
  greeted.socket.write(encodeGreeting('PLAIN', false));
  const slow = await rawPeer(t, relay.endpoints.port);
  const octets = helloOctets('producer', 'PUSH');
  const drip = setInterval(() => slow.socket.destroyed || slow.socket.write(octets.subarray(0, 1)), 20);
  t.after(() => clearInterval(drip));
  await Promise.all([silent.closed(), greeted.closed(), slow.closed()]);
  assert.equal(relay.counters().refused, 3);
  assert.ok(relay.refusals().some((reason) => /not finished in 150 ms \(waiting for HELLO\)/.test(reason)));
  assert.ok(relay.refusals().some((reason) => /not finished in 150 ms \(waiting for greeting\)/.test(reason)));
});

test('peers that only connect keep out nobody who says who it is: the oldest of them makes room', async (t) => {
  const relay = await testRelay(t, { maxConnections: 4, handshakeTimeoutMs: 60_000 });
  await readyPeer(t, relay, 'producer');
  const silent = [];
  for (let i = 0; i < 20; i++) silent.push(await rawPeer(t, relay.endpoints.port));
  await readyPeer(t, relay, 'producer');
  assert.equal(relay.counters().producers, 2);
  await Promise.all(silent.slice(0, 18).map((peer) => peer.closed()));
  assert.ok(relay.refusals().length >= 18);
  assert.ok(relay.refusals().every((reason) => /before it had said who it is/.test(reason)));
});

test('connections above the limit are refused at once, and the place is free again afterwards', async (t) => {
  const relay = await testRelay(t, { maxConnections: 2 });
  const first = await readyPeer(t, relay, 'producer');
  await readyPeer(t, relay, 'producer');
  const third = await rawPeer(t, relay.endpoints.port);
  await third.closed();
  assert.deepEqual(relay.refusals(), ['more than 2 connections']);
  first.socket.destroy();
  await until('a free place', () => relay.counters().producers === 1);
  await readyPeer(t, relay, 'producer');
});

test('a message above the limit closes its producer with the reason and reaches nobody', async (t) => {
  const relay = await testRelay(t, { maxMessageBytes: 1000 });
  const producer = await readyPeer(t, relay, 'producer');
  const consumer = await readyPeer(t, relay, 'consumer');
  const seen = consumer.received().length;
  producer.socket.write(Buffer.concat([encodeFrame(FLAG_MORE, Buffer.alloc(600)), encodeFrame(0, Buffer.alloc(600))]));
  await producer.closed();
  const end = relay.events.find((event) => event.kind === 'disconnected');
  assert.equal(end?.kind === 'disconnected' ? end.reason : end, 'message larger than 1000 bytes');
  assert.equal(consumer.received().length, seen);
  assert.equal(relay.counters().truncated, 1);
});

test('a producer that dies in the middle of a message costs nobody anything', async (t) => {
  const relay = await testRelay(t);
  const consumer = await readyPeer(t, relay, 'consumer');
  const seen = consumer.received().length;
  const dying = await readyPeer(t, relay, 'producer');
  dying.socket.write(
    Buffer.concat([encodeFrame(FLAG_MORE, Buffer.from('half')), Buffer.from([FLAG_LONG, 0, 0, 0, 0])]),
  );
  await until('it is read', () => relay.counters().memoryBytes > 0);
  dying.socket.destroy();
  await until('it is gone', () => relay.counters().truncated === 1);
  const whole = encodeMessage([Buffer.from('whole'), Buffer.from('message')]);
  (await readyPeer(t, relay, 'producer')).socket.write(whole);
  await until('the whole one', () => consumer.received().length === seen + whole.length);
  assert.deepEqual(consumer.received().subarray(seen), whole);
});

test('a header split at every offset, over slabs and reads, arrives as it was sent', async (t) => {
  const relay = await testRelay(t);
  const consumer = await readyPeer(t, relay, 'consumer');
  const producer = await readyPeer(t, relay, 'producer');
  const seen = consumer.received().length;
  const message = encodeMessage([Buffer.alloc(3, 1), Buffer.alloc(0), Buffer.alloc(300, 2)]);
  const sent: Buffer[] = [];
  for (let cut = 0; cut <= message.length; cut += 3) {
    for (const part of [message.subarray(0, cut), message.subarray(cut)]) {
      sent.push(part);
      if (part.length > 0) await new Promise((resolve) => producer.socket.write(part, resolve));
      // One turn of the loop, so that the relay reads this part by itself.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const total = Buffer.concat(sent);
  await until('all', () => consumer.received().length === seen + total.length);
  assert.ok(consumer.received().subarray(seen).equals(total));
});

test('bad traffic after the handshake closes that connection only', async (t) => {
  const relay = await testRelay(t);
  const bad: readonly (readonly [string, Buffer, RegExp])[] = [
    ['producer', Buffer.from([0x80, 0]), /malformed frame: flags 0x80/],
    ['producer', encodeCommand('PING', Buffer.from([0])), /malformed PING/],
    ['producer', encodeFrame(4, Buffer.from([0])), /malformed command/],
    ['producer', encodeCommand('ERROR', Buffer.from('\x03400')), /the peer sent ERROR/],
    ['producer', encodeCommand('NOISE', Buffer.alloc(600)), /command larger than 512/],
    ['consumer', encodeFrame(0, Buffer.from('hello')), /a PULL consumer sent a message/],
    ['consumer', encodeFrame(0, Buffer.alloc(300)), /a frame of 300 bytes/],
  ];
  const good = await readyPeer(t, relay, 'producer');
  for (const [role, octets, reason] of bad) {
    const peer = await readyPeer(t, relay, role);
    peer.socket.write(octets);
    await peer.closed();
    await until('the event', () =>
      relay.events.some((event) => event.kind === 'disconnected' && reason.test(event.reason)),
    );
  }
  assert.equal(good.socket.destroyed, false);
  assert.equal(relay.counters().connections.length, 1);
});

test('a PING is answered with its context, to producers and consumers', async (t) => {
  const relay = await testRelay(t);
  for (const role of ['producer', 'consumer']) {
    const peer = await readyPeer(t, relay, role);
    peer.socket.write(encodeCommand('PING', Buffer.from('\0\nabc')));
    await until('PONG', () => peer.received().includes(encodeCommand('PONG', Buffer.from('abc'))));
  }
});

test('fifty relays opened, used and closed leave no socket, timer or slab', async (t) => {
  const alive = (): number => process.getActiveResourcesInfo().filter((kind) => /TCP|Timeout/.test(kind)).length;
  let before = -1;
  for (let cycle = 0; cycle < 50; cycle += 1) {
    const relay = await testRelay(t, { delivery: cycle % 2 === 0 ? 'at-most-once' : 'redeliver' });
    const producer = await readyPeer(t, relay, 'producer');
    producer.socket.write(encodeMessage([Buffer.alloc(100_000)]));
    const open = await rawPeer(t, relay.endpoints.port);
    await until('a message', () => relay.counters().messagesIn === 1);
    await relay.close('cycle');
    await Promise.all([producer.closed(), open.closed()]);
    assert.equal(relay.counters().memoryBytes, 0);
    assert.equal(relay.counters().buffered.messages, 0);
    // The first cycle may leave what the test runner and the self-check keep.
    if (cycle === 0) before = alive();
  }
  await until('nothing more than at the start', () => alive() <= before);
});
