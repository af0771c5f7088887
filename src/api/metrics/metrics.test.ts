// Families as text that a strict reader takes, whatever stands in names; requests as counters and histograms.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { exposition } from './exposition.ts';
import { readExposition } from './read-exposition.fixture.ts';
import { openRequestMetrics } from './request-metrics.ts';
import { nodeFamilies } from './stream-families.ts';

test('any text in a label and any number come back as they were', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('a"b', 'a\\', '\\n', 'a\nb', '"', '},{', '\\"\n'));
  const value = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 1e21, 1e-9));
  fc.assert(
    fc.property(fc.uniqueArray(text), text, value, (names, help, number) => {
      const samples = names.map((label) => ({ labels: { label, other: 'x' }, value: number }));
      const read = readExposition(
        exposition([
          { name: 'up', type: 'gauge', help: `h${help}`.replaceAll('\r', ''), samples: [{ labels: {}, value: 1 }] },
          { name: 'some', type: 'gauge', help: 'h', samples },
        ]),
      );
      assert.deepEqual(
        read.slice(1),
        samples.map(({ labels }) => ({ name: 'some', labels, value: Object.is(number, -0) ? 0 : number })),
      );
    }),
  );
});

test('the strict reader refuses what a scraper would', () => {
  const head = '# HELP a h\n# TYPE a gauge\n';
  for (const bad of [
    'a{b="c} 1',
    'a{b="c"d="e"} 1',
    'a{b="\\x"} 1',
    'a 1 2 3',
    'a{b="c",} 1',
    'b 1',
    'a{1b="c"} 1',
    'a x',
  ])
    assert.throws(() => readExposition(`${head}${bad}\n`), bad);
  assert.throws(() => readExposition(`${head}a 1\na 2\n`));
  assert.throws(() => readExposition('a 1\n'));
});

test('a request is counted by operation and status, timed unless it waits on purpose, and told apart when its client went away', () => {
  const requests = openRequestMetrics();
  const one = { operation: 'stream.list', status: 200, gone: false, seconds: 0.02, waits: false };
  requests.served(one);
  requests.served({ ...one, seconds: 30 });
  requests.served({ ...one, gone: true });
  requests.served({ ...one, operation: 'node.sync', waits: true });
  const read = readExposition(exposition(requests.families()));
  const at = (name: string, labels: object) =>
    read.find((s) => s.name === name && JSON.stringify(s.labels) === JSON.stringify(labels))?.value;
  const operation = 'stream.list';
  assert.equal(at('beamway_http_requests_total', { operation, status: '200' }), 2);
  assert.equal(at('beamway_http_requests_total', { operation, status: 'gone' }), 1);
  const buckets = read.filter((s) => s.name.endsWith('_bucket'));
  assert.deepEqual(
    buckets.map((b) => b.value),
    [0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 3],
  );
  assert.deepEqual(
    [buckets.at(-1)?.labels['le'], buckets.every((b) => b.labels['operation'] === operation)],
    ['+Inf', true],
  );
  assert.equal(at('beamway_http_request_duration_seconds_count', { operation }), 3);
});

test('a node that was never seen is down and has no age; one behind in its leases shows by how much', () => {
  const now = Date.UTC(2026, 0, 1);
  const nodes = [
    { name: 'dsn01', lastSeenAt: new Date(now - 2000), version: 9, appliedVersion: 7 },
    { name: 'dsn02', lastSeenAt: null, version: 1, appliedVersion: 0 },
  ];
  const read = readExposition(exposition(nodeFamilies(nodes, [], now)));
  const of = (name: string) => read.filter((s) => s.name === `beamway_node_${name}`).map((s) => s.value);
  assert.deepEqual([of('up'), of('last_seen_age_seconds'), of('version_lag')], [[1, 0], [2], [2, 1]]);
});
