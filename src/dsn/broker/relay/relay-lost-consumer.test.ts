import assert from 'node:assert/strict';
import test from 'node:test';
import { encodeMessage } from '../../zmtp/index.ts';
import { readyPeer, testRelay, until } from './relay-fixture.ts';

/** Numbered, 64 KiB: enough of them overrun what the kernel takes for a consumer that does not read. */
const numbered = (at: number): Buffer => {
  const body = Buffer.alloc(65_536);
  body.writeUInt32BE(at);
  return encodeMessage([body]);
};

test('at-most-once: what a dead consumer surely did not get goes to the next, whole and in order; the rest is counted', async (t) => {
  const relay = await testRelay(t, { bufferBytes: 64 * 1024 * 1024 });
  const stuck = await readyPeer(t, relay, 'consumer');
  stuck.socket.pause();
  const producer = await readyPeer(t, relay, 'producer');
  const count = 700;
  for (let at = 0; at < count; at += 1) producer.socket.write(numbered(at));
  await until(
    'all in, some stuck',
    () => relay.counters().messagesIn === count && relay.counters().buffered.messages > 0,
  );
  stuck.socket.destroy();
  await until('gone', () => relay.counters().consumers === 0);
  const end = relay.events.find((event) => event.kind === 'disconnected');
  assert.ok(end?.kind === 'disconnected');
  const next = await readyPeer(t, relay, 'consumer-2');
  // Frames follow READY at once; its frame is flags, length, then the body with the name at 3.
  const ready = next.received().indexOf('READY') - 3;
  const seen = ready + 2 + (next.received()[ready + 1] ?? 0);
  await until('the rest', () => relay.counters().buffered.messages === 0);
  const { messagesOut, lostInSocket } = relay.counters();
  assert.equal(messagesOut + lostInSocket, count);
  const rest = count - end.messages - lostInSocket;
  const bytes = numbered(0).length;
  await until('all octets', () => next.receivedBytes() - seen === rest * bytes);
  const octets = next.received().subarray(seen);
  for (let at = 0; at < rest; at += 1) {
    const frame = octets.subarray(at * bytes, (at + 1) * bytes);
    assert.ok(frame.equals(numbered(count - rest + at)), `message ${count - rest + at}`);
  }
  assert.ok(end.requeued + lostInSocket > 0);
});
