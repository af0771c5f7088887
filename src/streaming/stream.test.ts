import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NODE_SILENT_MS, type Observed, type Stream, streamState } from './stream.ts';

const AT = new Date('2026-01-01T00:00:00Z');
const NOW = AT.getTime();

const observed = (state: Observed['state'], reason = ''): Observed => ({
  stream: 'str_x',
  state,
  reason,
  endpoints: {},
  counters: {
    messagesIn: 0,
    messagesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    dropped: 0,
    redelivered: 0,
    buffered: 0,
    bufferedBytes: 0,
    producers: 0,
    consumers: 0,
    refused: 0,
  },
  connections: [],
});

const stream = (change: Partial<Stream>): Stream => ({
  id: 'str_x',
  project: 'demo',
  environment: 'ace',
  name: 'x',
  template: 'frames',
  parameters: {},
  lease: {
    engine: 'relay',
    admission: 'credential',
    delivery: 'redeliver',
    overflow: 'wait',
    consumer: 'connect',
    bufferBytes: 1,
    maxMessageBytes: 1,
    maxConnections: 1,
    externalAddresses: [],
    consumerListens: [],
    offlineLifetimeSeconds: 1,
    credentialLifetimeSeconds: 1,
  },
  node: 'dsn01',
  createdBy: 'tok_x',
  requestId: 'req_1',
  createdAt: AT,
  expiresAt: AT,
  releaseRequestedAt: null,
  releaseReason: '',
  releasedAt: null,
  observed: null,
  observedAt: null,
  notice: null,
  ...change,
});

test('a stream is what its node reports, while that is fresh', () => {
  assert.equal(streamState(stream({}), NOW).state, 'pending');
  assert.equal(streamState(stream({ observed: observed('ready'), observedAt: AT }), NOW).state, 'ready');
  assert.deepEqual(streamState(stream({ observed: observed('failed', 'no port is free'), observedAt: AT }), NOW), {
    state: 'failed',
    reason: 'no port is free',
  });
  const silent = stream({ observed: observed('ready'), observedAt: AT });
  assert.equal(streamState(silent, NOW + NODE_SILENT_MS).state, 'ready');
  const lost = streamState(silent, NOW + NODE_SILENT_MS + 1);
  assert.equal(lost.state, 'unreachable');
  assert.match(lost.reason, /dsn01.*2026-01-01T00:00:00/);
});

test('a release hides what the node reports, and says why', () => {
  const releasing = stream({
    observed: observed('ready'),
    observedAt: AT,
    releaseRequestedAt: AT,
    releaseReason: 'its lifetime is over',
  });
  assert.deepEqual(streamState(releasing, NOW), { state: 'releasing', reason: 'its lifetime is over' });
  assert.deepEqual(streamState({ ...releasing, releasedAt: AT }, NOW), {
    state: 'released',
    reason: 'its lifetime is over',
  });
});

test('paused and draining show once its node has it, and give way to what its node cannot do and to its release', () => {
  const { lease } = stream({});
  const seen = { observedAt: AT, observed: observed('ready') };
  const stateOf = (change: Partial<Stream>) => streamState(stream({ ...seen, ...change }), NOW).state;
  assert.equal(stateOf({ lease: { ...lease, paused: true } }), 'paused');
  assert.equal(stateOf({ lease: { ...lease, draining: true, paused: true } }), 'draining');
  assert.equal(stateOf({ lease: { ...lease, draining: true }, observed: observed('failed', 'x') }), 'failed');
  assert.equal(stateOf({ lease: { ...lease, draining: true }, releaseRequestedAt: AT }), 'releasing');
  const reached = "the stream's byteQuota of 5 is used up";
  const full = { ...observed('ready'), usage: { bytes: 5, messages: 1, reached } };
  assert.deepEqual(streamState(stream({ ...seen, observed: full }), NOW), { state: 'ready', reason: reached });
});
