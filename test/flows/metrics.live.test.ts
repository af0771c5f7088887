// GET /metrics on a real control plane: who may, what it says of a stream and its node, and that a strict reader takes all of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXPOSITION_TYPE } from '../../src/api/metrics/exposition.ts';
import { readExposition } from '../../src/api/metrics/read-exposition.fixture.ts';
import { fileScope, startApiServer } from './api-server.ts';

const COUNTERS = {
  messagesIn: 7,
  messagesOut: 5,
  bytesIn: 700,
  bytesOut: 500,
  dropped: 1,
  redelivered: 2,
  buffered: 2,
};
const MORE = { bufferedBytes: 200, producers: 1, consumers: 3, refused: 4 };

test('a token of staff reads streams, nodes, requests and the database; one without the scope does not', async () => {
  const api = await startApiServer(fileScope());
  const owner = await api.token();
  const node = await api.node('dsn01');
  const nothing = {
    instance: 'i',
    knownVersion: -1,
    appliedVersion: 1,
    claimUrl: '',
    waitMs: 0,
    events: [],
    streams: [],
  };
  const sync = async (body: object) => {
    const synced = await api.ask('/beamway/v1/nodes/dsn01/sync', { method: 'POST', bearer: node, body });
    assert.equal(synced.status, 200, synced.text);
  };
  await sync(nothing);
  const made = await api.ask('/beamway/v1/streams', {
    method: 'POST',
    bearer: owner,
    body: { name: 'seen', template: 'lcls-results', parameters: { messageQuota: 1000 } },
  });
  assert.equal(made.status, 202, made.text);
  const stream = String(made.body['id']);
  const used = { bytes: 9000, messages: 90, reached: '' };
  const counters = { ...COUNTERS, ...MORE };
  await sync({
    ...nothing,
    streams: [{ stream, state: 'ready', reason: '', endpoints: {}, connections: [], counters, usage: used }],
  });
  const refused = await api.ask('/metrics', { bearer: await api.token({ scopes: ['stream:read'] }) });
  assert.deepEqual([refused.status, refused.code], [403, 'refused']);
  assert.equal((await api.ask('/metrics')).status, 401);
  const scraped = await api.ask('/metrics', { bearer: await api.token({ scopes: ['metrics:read'] }) });
  assert.deepEqual([scraped.status, scraped.headers.get('content-type')], [200, EXPOSITION_TYPE]);
  const read = readExposition(scraped.text);
  const value = (name: string, labels: Readonly<Record<string, string>>) =>
    read.find((s) => s.name === name && Object.entries(labels).every(([k, v]) => s.labels[k] === v))?.value;
  const own = { stream, project: 'demo', node: 'dsn01', engine: 'relay' };
  const told = ['messages_in_total', 'bytes_out_total', 'dropped_total', 'buffered_bytes', 'consumers', 'ready'];
  assert.deepEqual(
    told.map((name) => value(`beamway_stream_${name}`, own)),
    [7, 500, 1, 200, 3, 1],
  );
  assert.equal(value('beamway_stream_buffer_limit_bytes', own), 16_777_216);
  const quota = ['used_bytes_total', 'used_messages_total', 'quota_messages', 'quota_bytes'];
  assert.deepEqual(
    quota.map((name) => value(`beamway_stream_${name}`, own)),
    [9000, 90, 1000, undefined],
  );
  assert.deepEqual(
    [value('beamway_node_up', { node: 'dsn01' }), value('beamway_node_leases', { node: 'dsn01' })],
    [1, 1],
  );
  assert.ok((value('beamway_node_version_lag', { node: 'dsn01' }) ?? 0) > 0);
  assert.equal(value('beamway_http_requests_total', { operation: 'stream.create', status: '202' }), 1);
  assert.equal(value('beamway_http_requests_total', { operation: 'metrics.show', status: '401' }), 1);
  assert.ok((value('beamway_database_connections', { state: 'busy' }) ?? -1) >= 0);
  assert.equal(value('beamway_outbox_behind', { consumer: 'control' }) !== undefined, true);
});
