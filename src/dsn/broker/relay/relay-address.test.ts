import assert from 'node:assert/strict';
import test from 'node:test';
import zmq from 'zeromq';
import { readEndpoint } from './connect-out.ts';
import { rawPeer, testRelay, until } from './relay-fixture.ts';

test("admission 'address' takes peers without credentials, each role on its own port", async (t) => {
  const asked: string[] = [];
  const relay = await testRelay(t, {
    admission: 'address',
    admit: ({ portRole, remoteAddress, username }) => {
      asked.push(`${portRole} ${remoteAddress} '${username}'`);
      return { ok: true, role: portRole ?? 'producer', credentialId: `address:${remoteAddress}` };
    },
  });
  const { port, consumerPort } = relay.endpoints;
  assert.ok(consumerPort !== undefined && consumerPort !== port);
  const push = new zmq.Push({ linger: 0 });
  const pull = new zmq.Pull({ linger: 0 });
  t.after(() => [push, pull].forEach((socket) => void socket.close()));
  push.connect(`tcp://127.0.0.1:${port}`);
  pull.connect(`tcp://127.0.0.1:${consumerPort}`);
  await push.send('frame');
  assert.equal(String((await pull.receive())[0]), 'frame');
  assert.deepEqual([...new Set(asked)].sort(), ["consumer 127.0.0.1 ''", "producer 127.0.0.1 ''"]);
});

test('an address that is not listed is refused', async (t) => {
  const relay = await testRelay(t, {
    admission: 'address',
    admit: () => ({ ok: false, reason: 'address is not listed' }),
  });
  const push = new zmq.Push({ linger: 0 });
  t.after(() => push.close());
  push.connect(relay.url);
  await until('a refusal', () => relay.refusals().includes('address is not listed'));
});

test('a consumer that binds is connected to, and again after it went away', async (t) => {
  const first = new zmq.Pull({ linger: 0 });
  await first.bind('tcp://127.0.0.1:0');
  const endpoint = first.lastEndpoint ?? '';
  const relay = await testRelay(t, { admission: 'address', consumerListens: [endpoint] });
  assert.equal(relay.endpoints.consumerPort, undefined);
  const push = new zmq.Push({ linger: 0 });
  t.after(() => push.close());
  push.connect(relay.url);
  await push.send('one');
  assert.equal(String((await first.receive())[0]), 'one');
  first.close();
  await until('gone', () => relay.counters().consumers === 0);
  await push.send('two');
  const second = new zmq.Pull({ linger: 0 });
  t.after(() => second.close());
  await second.bind(endpoint);
  assert.equal(String((await second.receive())[0]), 'two');
  assert.deepEqual(relay.refusals(), [], 'a consumer that does not listen yet is no refusal');
});

test('options that contradict each other are refused, and endpoints are read strictly', async (t) => {
  await assert.rejects(testRelay(t, { consumerListens: ['tcp://127.0.0.1:1'] }), RangeError);
  await assert.rejects(testRelay(t, { consumerPort: 0 }), RangeError);
  await assert.rejects(testRelay(t, { bufferBytes: 0 }), RangeError);
  await assert.rejects(testRelay(t, { admission: 'address', consumerListens: ['ipc:///tmp/x'] }), RangeError);
  assert.deepEqual(readEndpoint('tcp://[::1]:5'), { host: '::1', port: 5 });
  assert.throws(() => readEndpoint('tcp://host:70000'), RangeError);
});

test('a port in use is an error and leaves nothing open; a range is searched', async (t) => {
  const one = await testRelay(t);
  const { port } = one.endpoints;
  await assert.rejects(testRelay(t, { port }), { code: 'EADDRINUSE' });
  const two = await testRelay(t, { portRange: { from: port, to: port + 20 } });
  assert.ok(two.endpoints.port > port && two.endpoints.port <= port + 20);
});

test('with an interface of its own for consumers, the one port is open on both', async (t) => {
  const relay = await testRelay(t, { consumerHost: '127.0.0.2' });
  const push = new zmq.Push({ plainUsername: 'producer', plainPassword: 'pw-for-tests', linger: 0 });
  const pull = new zmq.Pull({ plainUsername: 'consumer', plainPassword: 'pw-for-tests', linger: 0 });
  t.after(() => [push, pull].forEach((socket) => void socket.close()));
  push.connect(relay.url);
  pull.connect(`tcp://127.0.0.2:${relay.endpoints.port}`);
  await push.send('frame');
  assert.equal(String((await pull.receive())[0]), 'frame');
  await (await rawPeer(t, relay.endpoints.port)).socket.destroy();
});
