// Today's LCLStreamer with no change: its PUSH sets no credentials, its pull side binds, and the relay connects out to that.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Pull, Push } from 'zeromq';
import { digestOf, eventOf, frameOf, readyStream } from './libzmq.ts';
import { startBeamway, until } from './start-beamway.ts';

const beamway = await startBeamway({ after });
const { client } = await beamway.mint();
const FRAME_BYTES = 500_000;

async function boundPull(): Promise<{ readonly pull: Pull; readonly endpoint: string }> {
  const pull = new Pull({ linger: 0 });
  await pull.bind('tcp://127.0.0.1:0');
  return { pull, endpoint: pull.lastEndpoint ?? '' };
}

test('a PUSH without credentials reaches a PULL that binds, and the addresses are audited', {
  timeout: 60_000,
}, async (t) => {
  const { pull, endpoint } = await boundPull();
  const stream = await readyStream(client, 'lclstreamer', { consumerListens: [endpoint] });
  assert.deepEqual(Object.keys(stream.endpoints), ['producer'], 'there is no port for consumers');
  const push = new Push({ linger: 0, sendHighWaterMark: 8 });
  t.after(() => [push, pull].forEach((socket) => void socket.close()));
  push.connect(stream.endpoints['producer'] ?? '');
  const sending = (async () => {
    for (let i = 0; i < 50; i++) await push.send(frameOf(i, FRAME_BYTES));
  })();
  for (let i = 0; i < 50; i++) {
    const [frame] = await pull.receive();
    assert.ok(frame !== undefined);
    assert.equal(digestOf(frame), digestOf(frameOf(i, FRAME_BYTES)));
  }
  await sending;
  await until('who connected is in the audit log', async () => {
    const { records } = await beamway.admin().call('audit.list', { query: { limit: 1000 } });
    const connected = records.filter((r) => r.action === 'stream.connected' && r.resource === `stream/${stream.id}`);
    return connected.some((r) => JSON.stringify(r.detail).includes('127.0.0.1') && r.project === 'demo');
  });
  await client.call('stream.delete', { params: { id: stream.id } });
});

test('who comes from an address that is not listed is refused; who comes from a listed one is not', {
  timeout: 60_000,
}, async (t) => {
  const { pull, endpoint } = await boundPull();
  const stream = await readyStream(client, 'lclstreamer', {
    consumerListens: [endpoint],
    externalAddresses: ['127.0.0.1/32'],
  });
  const to = (stream.endpoints['producer'] ?? '').slice('tcp://'.length);
  const stranger = new Push({ linger: 0, reconnectInterval: 50 });
  const listed = new Push({ linger: 0 });
  t.after(() => [stranger, listed, pull].forEach((socket) => void socket.close()));
  // libzmq's way to say from where: SOURCE;DESTINATION.
  stranger.connect(`tcp://127.0.0.3:0;${to}`);
  await until('the stranger is refused', async () => {
    const { counters } = await client.call('stream.show', { params: { id: stream.id } });
    return (counters?.refused ?? 0) > 0;
  });
  const admitted = eventOf(listed, 'handshake');
  listed.connect(`tcp://${to}`);
  await admitted;
  await listed.send('listed');
  assert.equal(String((await pull.receive())[0]), 'listed');
  await client.call('stream.delete', { params: { id: stream.id } });
});

test('the moderate enclave has no such template', async () => {
  const moderate = await beamway.mint({ environments: ['seeker'], sources: ['127.0.0.0/8'] });
  const body = { name: 'a', template: 'lclstreamer', parameters: { consumerListens: ['tcp://127.0.0.1:5555'] } };
  await assert.rejects(moderate.client.call('stream.create', { body }), { status: 403, code: 'refused' });
  const inOpen = { ...body, environment: 'ace' };
  await assert.rejects(moderate.client.call('stream.create', { body: inOpen }), { status: 403, code: 'refused' });
});
