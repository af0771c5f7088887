/** A lockdown on the node: whoever came from outside is cut and let in again afterwards; whoever came by a claim stays. Real libzmq sockets. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Pull, Push } from 'zeromq';
import { systemClock } from '../../clock.ts';
import { digestOf, testLease } from '../lease.fixture.ts';
import type { Broker, LocalCredential } from './broker.ts';
import { relayBroker } from './relay-broker.ts';

const LATER = Date.now() + 3_600_000;

function openBroker(t: TestContext): { readonly broker: Broker; readonly refused: () => number } {
  let refused = 0;
  const broker = relayBroker({
    clock: systemClock,
    external: '127.0.0.1',
    compute: '127.0.0.1',
    remembered: () => undefined,
    portRange: { from: 0, to: 0 },
    onEvent: (event) => {
      if (event.kind === 'refused') refused += 1;
    },
  });
  t.after(() => broker.close('str_a', 'the test is over'));
  return { broker, refused: () => refused };
}

async function until(look: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!look()) {
    assert.ok(performance.now() < end, 'waited 20 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const connected = (broker: Broker): readonly string[] =>
  (broker.observe()[0]?.connections ?? []).map((c) => c.credential).sort();

test('by address: producers are cut, refused while it lasts, and come back by themselves', async (t) => {
  const { broker, refused } = openBroker(t);
  const lease = testLease({ admission: 'address', delivery: 'at-most-once', expiresAtMs: LATER });
  await broker.ensure(lease, []);
  const push = new Push({ linger: 0, reconnectInterval: 20 });
  t.after(() => push.close());
  push.connect(broker.observe()[0]?.endpoints['producer'] ?? '');
  await until(() => connected(broker).length === 1);
  await broker.ensure({ ...lease, externalShut: true }, []);
  await until(() => refused() >= 2);
  assert.deepEqual(connected(broker), []);
  await broker.ensure(lease, []);
  await until(() => connected(broker).length === 1);
});

test('by credential: the one from outside is cut, the job that came by its claim stays', async (t) => {
  const { broker, refused } = openBroker(t);
  const credential = {
    id: 'crd_out',
    role: 'producer',
    username: 'out',
    passwordDigest: digestOf('pw-out'),
    expiresAtMs: LATER,
  } as const;
  const lease = testLease({ delivery: 'at-most-once', expiresAtMs: LATER, credentials: [credential] });
  const job: LocalCredential = {
    id: 'crd_job',
    stream: 'str_a',
    role: 'consumer',
    username: 'job',
    passwordDigest: digestOf('pw-job'),
  };
  await broker.ensure(lease, [job]);
  const endpoint = broker.observe()[0]?.endpoints['producer'] ?? '';
  const push = new Push({ plainUsername: 'out', plainPassword: 'pw-out', linger: 0, reconnectInterval: 20 });
  const pull = new Pull({ plainUsername: 'job', plainPassword: 'pw-job', linger: 0 });
  t.after(() => push.close());
  t.after(() => pull.close());
  push.connect(endpoint);
  pull.connect(endpoint);
  await until(() => connected(broker).length === 2);
  await broker.ensure({ ...lease, externalShut: true }, [job]);
  await until(() => refused() >= 2);
  assert.deepEqual(connected(broker), ['crd_job']);
  await broker.ensure(lease, [job]);
  await until(() => connected(broker).length === 2);
});
