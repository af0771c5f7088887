// A draining stream is drained once it was empty and without producers for as long as what is said of it may be behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObservedStream } from '../api/contract/node-link.ts';
import { observeClosed } from './broker/observe-gateway.ts';
import { drainWatch } from './drain-watch.ts';
import { testLease } from './lease.fixture.ts';

const seen = (change: Partial<ObservedStream['counters']> = {}): ObservedStream => {
  const empty = observeClosed('str_a', 'ready', '');
  return { ...empty, counters: { ...empty.counters, ...change } };
};

test('only what is to be drained, is empty, and stays so for long enough, is drained', () => {
  let now = 0;
  const watch = drainWatch({ monotonic: () => now });
  const lease = testLease({ engine: 'rabbitmq', draining: true });
  const drained = (look: ObservedStream = seen()) => watch(lease, look).drained;
  assert.equal(drained(), undefined);
  now = 7999;
  assert.equal(drained(), undefined);
  assert.equal(drained(seen({ buffered: 1 })), undefined);
  now = 9000;
  assert.equal(drained(), undefined, 'it begins anew');
  now = 17_000;
  assert.equal(drained(), true);
  assert.equal(drained(seen({ producers: 1 })), undefined);
  now = 30_000;
  assert.equal(drained({ ...seen(), state: 'failed' }), undefined);
  assert.equal(watch(testLease({ engine: 'redis' }), seen()).drained, undefined);
  assert.equal(watch(undefined, seen()).drained, undefined);
});
