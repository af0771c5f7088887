import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import zmq from 'zeromq';
import { encodeFrame, encodeMessage } from '../../zmtp/index.ts';
import { helloOctets, PASSWORD, rawPeer, type TestRelay, testRelay, until } from './relay-fixture.ts';

const N = 300;

function push(t: TestContext, relay: TestRelay): zmq.Push {
  const socket = new zmq.Push({ plainUsername: 'producer', plainPassword: PASSWORD, linger: 0 });
  t.after(() => socket.close());
  socket.connect(relay.url);
  return socket;
}

function dealer(t: TestContext, relay: TestRelay, name = 'consumer'): zmq.Dealer {
  const socket = new zmq.Dealer({ plainUsername: name, plainPassword: PASSWORD, linger: 0 });
  t.after(() => socket.close());
  socket.connect(relay.url);
  return socket;
}

async function sendNumbers(socket: zmq.Push, n: number): Promise<void> {
  for (let at = 0; at < n; at += 1) await socket.send([Buffer.from(String(at)), Buffer.alloc(1000, at & 255)]);
}

test('a consumer killed in the middle loses nothing: its unacknowledged messages go to the next one first and in order', async (t) => {
  const relay = await testRelay(t, { delivery: 'redeliver' });
  const sent = sendNumbers(push(t, relay), N);
  const first = dealer(t, relay);
  const finished: number[] = [];
  for (let at = 0; at < 100; at += 1) {
    const [tag, number] = await first.receive();
    assert.ok(tag !== undefined && tag.length === 12);
    assert.equal(tag.readUInt32BE(8), 1, 'first attempt');
    // Every third one is left unacknowledged.
    if (at % 3 === 0) continue;
    await first.send(tag);
    finished.push(Number(String(number)));
  }
  await until('acknowledgements', () => relay.counters().acknowledged === finished.length);
  const outstanding = relay.counters().unacknowledged;
  assert.ok(outstanding >= 34);
  first.close();
  await until('gone', () => relay.counters().consumers === 0);
  const end = relay.events.find((event) => event.kind === 'disconnected');
  assert.ok(end?.kind === 'disconnected' && end.requeued === outstanding);

  const second = dealer(t, relay, 'consumer-2');
  let last = -1;
  while (finished.length < N) {
    const [tag, number] = await second.receive();
    assert.ok(tag !== undefined);
    assert.ok(Number(String(number)) > last, 'in order');
    last = Number(String(number));
    if (finished.length - (100 - 34) < outstanding) assert.equal(tag.readUInt32BE(8), 2, 'second attempt');
    finished.push(last);
    // The first eight octets count.
    await second.send(tag.subarray(0, 8));
  }
  await sent;
  assert.deepEqual(
    finished.sort((a, b) => a - b),
    Array.from({ length: N }, (_, at) => at),
  );
  await until('all acknowledged', () => relay.counters().acknowledged === N);
  const counters = relay.counters();
  assert.equal(counters.redelivered, outstanding);
  assert.deepEqual(counters.buffered, { messages: 0, bytes: 0 });
  assert.equal(counters.lostInSocket, 0);
});

test('a consumer holds no more than its window', async (t) => {
  const relay = await testRelay(t, { delivery: 'redeliver', window: { messages: 5, bytes: 1_000_000 } });
  await sendNumbers(push(t, relay), 50);
  const slow = dealer(t, relay);
  const quick = dealer(t, relay, 'consumer-2');
  const kept: Buffer[] = [];
  for (let at = 0; at < 5; at += 1) kept.push((await slow.receive())[0] ?? Buffer.alloc(0));
  for (let at = 0; at < 45; at += 1) await quick.send((await quick.receive())[0] ?? Buffer.alloc(0));
  await until('45 are done', () => relay.counters().acknowledged === 45);
  assert.equal(relay.counters().unacknowledged, 5);
  for (const tag of kept) await slow.send(tag);
  await until('all are done', () => relay.counters().acknowledged === 50);
});

test('unacknowledged messages count as buffered and stop the producer', async (t) => {
  const relay = await testRelay(t, { delivery: 'redeliver', bufferBytes: 20_000 });
  const sending = sendNumbers(push(t, relay), 50);
  const consumer = dealer(t, relay);
  const tags = [(await consumer.receive())[0], (await consumer.receive())[0]];
  await until('the producer waits', () => relay.counters().producersWaiting === 1);
  assert.ok(relay.counters().messagesIn < 50);
  const acknowledging = (async () => {
    for (const tag of tags) if (tag !== undefined) await consumer.send(tag);
    for (let at = 2; at < 50; at += 1) await consumer.send((await consumer.receive())[0] ?? Buffer.alloc(0));
  })();
  await Promise.all([sending, acknowledging]);
  await until('all are done', () => relay.counters().acknowledged === 50);
});

test('acknowledgements that are duplicate, unknown, too short or in parts are ignored and counted', async (t) => {
  const relay = await testRelay(t, { delivery: 'redeliver' });
  await sendNumbers(push(t, relay), 1);
  const peer = await rawPeer(t, relay.endpoints.port);
  peer.socket.write(helloOctets('consumer', 'DEALER'));
  await until('the message', () => relay.counters().unacknowledged === 1);
  const tag = Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]);
  const parts = encodeMessage([tag, tag]);
  const odd = [
    encodeFrame(0, Buffer.alloc(8, 9)),
    encodeFrame(0, Buffer.from('x')),
    parts,
    encodeFrame(0, tag),
    encodeFrame(0, tag),
  ];
  // Octet by octet: an acknowledgement may come in any split.
  for (const octet of Buffer.concat(odd)) peer.socket.write(Buffer.from([octet]));
  await until('five frames', () => relay.counters().unknownAcknowledgements === 4);
  assert.equal(relay.counters().acknowledged, 1);
});

test('a PULL consumer is refused on a redeliver stream, a DEALER on an at-most-once stream', async (t) => {
  for (const [delivery, type, needs] of [
    ['redeliver', 'PULL', 'DEALER'],
    ['at-most-once', 'DEALER', 'PULL'],
  ] as const) {
    const relay = await testRelay(t, { delivery });
    const peer = await rawPeer(t, relay.endpoints.port);
    peer.socket.write(helloOctets('consumer', type));
    await until('ERROR', () => peer.received().includes(`socket-type-must-be-${needs}`));
    assert.deepEqual(relay.refusals(), [`socket type ${type}, this credential needs ${needs}`]);
  }
});
