// The pure parts of `stream bench`, and its open loop against a path of the test's own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLatencies } from './latencies.ts';
import { openLedger } from './ledger.ts';
import { LOADS, warningsOf } from './load.ts';
import { HEADER_BYTES, messageWriter, readMessage } from './load-message.ts';
import type { LoadPath } from './load-path.ts';
import { runLoad } from './run-load.ts';

test('a message is read as it was written, and any octet that changed on the way is noticed', () => {
  const stamp = { producer: 3, sequence: 4711, dueMs: 1234.5 };
  const message = messageWriter(9, 300)(stamp);
  assert.deepEqual(readMessage(9, message), { kind: 'whole', stamp });
  assert.deepEqual(readMessage(8, message), { kind: 'foreign' });
  for (let at = 8; at < message.length; at++) {
    const changed = Buffer.from(message);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.deepEqual(readMessage(9, changed), { kind: 'damaged' }, `octet ${at}`);
  }
  assert.deepEqual(readMessage(9, Buffer.from('{}')), { kind: 'foreign' });
  assert.equal(messageWriter(9, HEADER_BYTES)(stamp).length, HEADER_BYTES);
});

test('the ledger counts each message once, and what comes again or out of order', () => {
  const ledger = openLedger();
  for (const sequence of [0, 1, 3, 2, 2, 5000]) ledger.arrived(0, 0, sequence);
  // Another consumer's order is its own.
  ledger.arrived(1, 0, 4);
  assert.deepEqual([ledger.received, ledger.duplicated, ledger.reordered], [6, 1, 1]);
});

test('quantiles are those of all that was added', () => {
  const latencies = openLatencies();
  assert.equal(latencies.quantiles(), null);
  for (let ms = 10_000; ms >= 1; ms--) latencies.add(ms);
  assert.deepEqual(latencies.quantiles(), { p50: 5000, p90: 9000, p99: 9900, max: 10_000 });
});

test('what spoils a figure is said in words, and a good shape has no warning', () => {
  const load = LOADS.deleria;
  const words = (change: object, engine: 'redis' | 'rabbitmq' | 'relay' = 'rabbitmq', queues = 1): string =>
    warningsOf({ ...load, ...change }, { engine, queues }).join('\n');
  assert.equal(words({}), '');
  assert.match(words({ confirms: 'sync' }), /synchronous confirms/);
  assert.match(words({ confirms: 'none' }), /no confirms/);
  assert.match(words({ prefetch: 1 }), /prefetch 1/);
  assert.match(words({ consumers: 8 }), /a single queue/);
  assert.equal(words({ consumers: 8 }, 'rabbitmq', 8), '');
  assert.match(words({ size: 20_000_000 }), /oversized/);
  assert.equal(words({ confirms: 'sync', prefetch: 1 }, 'relay'), '');
});

/** A path in memory that loses, doubles, changes or holds up what it is told to. */
function playedPath(play: { readonly drop?: number; readonly twice?: number; readonly change?: number } = {}) {
  let on: (message: Buffer) => void = () => undefined;
  let count = 0;
  let closed = 0;
  const close = async (): Promise<void> => {
    closed += 1;
  };
  const path: LoadPath = {
    confirms: true,
    producer: async () => ({
      async put(message) {
        count += 1;
        if (count === play.drop) return true;
        const sent = Buffer.from(message);
        if (count === play.change) sent[sent.length - 1] = (sent.at(-1) ?? 0) ^ 1;
        on(sent);
        if (count === play.twice) on(sent);
        return true;
      },
      room: () => undefined,
      close,
    }),
    consumer: async (_, take) => {
      on = take;
      return { close };
    },
    close,
  };
  return { path, closed: () => closed };
}

const SMALL = { ...LOADS.deleria, rate: 200, seconds: 1, size: 100 };

test('a run tells what was lost, what came twice and what was changed, and closes all it opened', async () => {
  const { path, closed } = playedPath({ drop: 5, twice: 7, change: 9 });
  const report = await runLoad({ there: path }, SMALL);
  const { asked, sent, received, lost, duplicated, damaged } = report;
  assert.deepEqual(
    { asked, sent, received, lost, duplicated, damaged },
    { asked: 200, sent: 200, received: 198, lost: 1, duplicated: 1, damaged: 1 },
  );
  assert.equal(closed(), 3);
  assert.ok((report.lateMs?.p50 ?? -1) >= 0, 'nothing leaves before it is due');
});

test('a stream that stalls is seen in the latency of every message that was due meanwhile', async () => {
  const { path } = playedPath();
  let until = Number.POSITIVE_INFINITY;
  const stalled: LoadPath = {
    ...path,
    async producer(index) {
      const producer = await path.producer(index);
      until = performance.now() + 500;
      return {
        ...producer,
        room: () =>
          performance.now() < until
            ? new Promise((resolve) => setTimeout(resolve, until - performance.now()))
            : undefined,
      };
    },
  };
  const { lost, latencyMs, heldUp } = await runLoad({ there: stalled }, SMALL);
  // 90 of 200 were due in the first 450 ms, each waited for the rest of it: a closed loop would show one slow message.
  assert.ok(lost === 0 && latencyMs !== null && latencyMs.p90 > 200 && latencyMs.max > 400 && heldUp > 0.2);
});

test('answers come back by the other way, and the round trip is what is measured', async () => {
  const [there, back] = [playedPath(), playedPath()];
  const { received, lost } = await runLoad({ there: there.path, back: back.path }, { ...SMALL, roundTrip: true });
  assert.deepEqual([received, lost, back.closed()], [200, 0, 3]);
});
