// What is done to a relay's stream while it runs, by its lease alone: its quota, its buffer's size, its addresses. Real libzmq sockets.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Pull, Push } from 'zeromq';
import type { Lease } from '../../api/contract/node-link.ts';
import { systemClock } from '../../clock.ts';
import { digestOf, testLease } from '../lease.fixture.ts';
import type { BrokerEvent } from './broker.ts';
import { relayBroker } from './relay-broker.ts';

const LATER = Date.now() + 3_600_000;
const credential = (name: string, role: 'producer' | 'consumer') => ({
  ...{ id: name, role, username: name, passwordDigest: digestOf('pw'), expiresAtMs: LATER },
});

async function opened(t: TestContext, change: Partial<Lease>) {
  const events: BrokerEvent[] = [];
  const broker = relayBroker({
    ...{ clock: systemClock, external: '127.0.0.1', compute: '127.0.0.1', remembered: () => undefined },
    portRange: { from: 0, to: 0 },
    onEvent: (event) => void events.push(event),
  });
  t.after(() => broker.close('str_a', 'the test is over'));
  const credentials = [credential('pro', 'producer'), credential('con', 'consumer')];
  const lease = testLease({ delivery: 'at-most-once', expiresAtMs: LATER, credentials, ...change });
  await broker.ensure(lease, []);
  const seen = () => {
    const [it] = broker.observe();
    assert.ok(it !== undefined);
    return it;
  };
  const endpoint = seen().endpoints['producer'] ?? '';
  const login = (name: string) => ({ plainUsername: name, plainPassword: 'pw', linger: 0, reconnectInterval: 20 });
  const push = new Push({ ...login('pro'), sendHighWaterMark: 1, sendTimeout: 100 });
  const pull = new Pull(login('con'));
  t.after(() => push.close());
  t.after(() => pull.close());
  push.connect(endpoint);
  const connectPull = (): Pull => {
    pull.connect(endpoint);
    return pull;
  };
  return { broker, lease, seen, events, push, pull: connectPull };
}

async function until(look: () => boolean): Promise<void> {
  for (const end = performance.now() + 20_000; !look(); ) {
    assert.ok(performance.now() < end, 'waited 20 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('at the quota a producer is cut and refused with the quota’s name; what it had sent is delivered', async (t) => {
  const { push, pull, seen, events } = await opened(t, { byteQuota: 3100, bufferBytes: 1_048_576 });
  for (let i = 0; i < 5; i++) await push.send(Buffer.alloc(1000, i)).catch(() => undefined);
  const named = /byteQuota of 3100 is used up/;
  await until(() => events.some((e) => e.kind === 'refused' && named.test(String(e.detail['reason']))));
  assert.match(seen().usage?.reached ?? '', named);
  assert.equal(seen().usage?.messages, 3);
  const consumer = pull();
  for (let i = 0; i < 3; i++) assert.deepEqual(await consumer.receive(), [Buffer.alloc(1000, i)]);
});

test('a buffer grows under a producer that waits for room, and shrinks without losing anything', async (t) => {
  const { push, pull, seen, broker, lease } = await opened(t, { bufferBytes: 65_536 });
  const COUNT = 400;
  const sending = (async () => {
    for (let i = 0; i < COUNT; )
      await push.send(Buffer.alloc(10_000, i % 251)).then(
        () => i++,
        () => undefined,
      );
  })();
  await until(() => seen().counters.bufferedBytes >= 60_000);
  const before = seen().counters.bufferedBytes;
  await broker.ensure({ ...lease, bufferBytes: 1_048_576 }, []);
  await until(() => seen().counters.bufferedBytes > before + 500_000);
  await broker.ensure(lease, []);
  const consumer = pull();
  for (let i = 0; i < COUNT; i++) assert.deepEqual(await consumer.receive(), [Buffer.alloc(10_000, i % 251)]);
  await sending;
});

test('who is at no listed address any more is cut', async (t) => {
  const { seen, broker, lease, events } = await opened(t, {});
  await until(() => seen().connections.length === 1);
  await broker.ensure({ ...lease, externalAddresses: ['192.0.2.0/24'] }, []);
  await until(() => events.some((e) => /not listed any more/.test(String(e.detail['reason']))));
  await broker.ensure(lease, []);
});
