import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { openSlabPool } from '../../sockets/slab.ts';
import { createBacklog } from './backlog.ts';
import { gather, type Piece, type StoredMessage } from './message.ts';

function open(bufferBytes: number, overflow: 'wait' | 'drop-oldest' = 'wait') {
  const pool = openSlabPool();
  const dropped: StoredMessage[] = [];
  const backlog = createBacklog({ pool, overflow, bufferBytes, onDropped: (message) => void dropped.push(message) });
  /** A message of `bytes` in a slab of its own. */
  const piece = (bytes: number): Piece[] => [{ slab: pool.take(false), start: 0, end: bytes }];
  return { pool, backlog, dropped, piece };
}

test('turns go round over producers, one limit each, and a redelivery comes before all', () => {
  const { backlog, piece } = open(1_000_000);
  const [a, b] = [backlog.addSource(), backlog.addSource()];
  for (let n = 0; n < 4; n += 1) backlog.store(a, piece(100));
  backlog.store(b, piece(100));
  const take = () => backlog.take({ messages: 2, bytes: 1000 });
  const first = take();
  assert.deepEqual(
    first.map(({ sequence }) => sequence),
    [1, 2],
  );
  assert.deepEqual(
    take().map(({ sequence }) => sequence),
    [5],
  );
  backlog.giveBack([...first].reverse());
  assert.deepEqual(
    take().map(({ sequence }) => sequence),
    [1, 2],
  );
  assert.deepEqual(
    take().map(({ sequence }) => sequence),
    [3, 4],
  );
  assert.deepEqual(take(), []);
});

test('one message is taken whatever its size', () => {
  const { backlog, piece } = open(1_000_000);
  const source = backlog.addSource();
  backlog.store(source, piece(5000));
  backlog.store(source, piece(5000));
  assert.equal(backlog.take({ messages: 10, bytes: 1 }).length, 1);
});

test('a producer is stopped at its share, so that a greedy one leaves room for the others', () => {
  const { backlog, piece } = open(1000);
  const greedy = backlog.addSource();
  backlog.store(greedy, piece(600));
  assert.equal(backlog.isFull(greedy), false);
  const modest = backlog.addSource();
  assert.equal(backlog.isFull(greedy), true);
  assert.equal(backlog.isFull(modest), false);
  backlog.endSource(modest);
  assert.equal(backlog.isFull(greedy), false);
});

test('a buffer that ran full stands at 4 MiB while consumers move, and is whole again after a stall', () => {
  const MiB = 1024 * 1024;
  const { backlog, piece } = open(16 * MiB);
  const source = backlog.addSource();
  for (let n = 0; n < 16; n += 1) backlog.store(source, piece(MiB));
  assert.equal(backlog.isFull(source), true);
  for (const message of backlog.take({ messages: 11, bytes: 16 * MiB })) backlog.finish(message);
  assert.equal(backlog.hasRoom(source), false, '5 MiB still stand');
  for (const message of backlog.take({ messages: 3, bytes: 16 * MiB })) backlog.finish(message);
  assert.equal(backlog.hasRoom(source), true, '2 MiB');
  backlog.store(source, piece(MiB));
  backlog.store(source, piece(MiB));
  assert.equal(backlog.isFull(source), true);
  backlog.onTick(true);
  assert.equal(backlog.isFull(source), true);
  backlog.onTick(false);
  assert.equal(backlog.isFull(source), false);
  assert.equal(backlog.space(source), 12 * MiB);
});

test('a producer that is gone leaves its messages, and nothing else', () => {
  const { backlog, piece, pool } = open(1000);
  const source = backlog.addSource();
  backlog.store(source, piece(10));
  backlog.endSource(source);
  const [message] = backlog.take({ messages: 1, bytes: 1 });
  assert.ok(message !== undefined);
  backlog.finish(message);
  assert.deepEqual(backlog.held(), { messages: 0, bytes: 0 });
  assert.equal(pool.inUse(), 0);
});

test('whatever happens in whatever order, bytes and slabs add up', () => {
  const action = fc.oneof(
    fc.record({
      what: fc.constant('store' as const),
      who: fc.nat({ max: 2 }),
      bytes: fc.integer({ min: 1, max: 400 }),
    }),
    fc.record({ what: fc.constant('take' as const), messages: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ what: fc.constantFrom('finish' as const, 'giveBack' as const) }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom('wait' as const, 'drop-oldest' as const),
      fc.array(action, { maxLength: 80 }),
      (overflow, actions) => {
        const { backlog, piece, pool, dropped } = open(1000, overflow);
        const sources = [backlog.addSource(), backlog.addSource(), backlog.addSource()];
        const out: StoredMessage[] = [];
        let stored = 0;
        let finished = 0;
        for (const step of actions) {
          if (step.what === 'store') {
            const source = sources[step.who];
            if (source === undefined) continue;
            backlog.store(source, piece(step.bytes));
            stored += 1;
          } else if (step.what === 'take') out.push(...backlog.take({ messages: step.messages, bytes: 1000 }));
          else if (step.what === 'giveBack') backlog.giveBack(out.splice(0));
          else {
            const message = out.shift();
            if (message === undefined) continue;
            backlog.finish(message);
            finished += 1;
          }
          assert.equal(backlog.queued() + out.length + finished + dropped.length, stored);
          assert.equal(backlog.held().messages, stored - finished - dropped.length);
          assert.equal(pool.inUse(), backlog.held().messages);
        }
        for (const message of out) backlog.finish(message);
        backlog.clear();
        assert.deepEqual(backlog.held(), { messages: 0, bytes: 0 });
        assert.equal(pool.inUse(), 0);
      },
    ),
  );
});

test('neighbours in a slab become one slice, others stay apart', () => {
  const { pool, backlog } = open(1000);
  const slab = pool.take(false);
  const other = pool.take(false);
  slab.bytes.set([1, 2, 3, 4, 5, 6]);
  other.bytes.set([9]);
  const source = backlog.addSource();
  const spans: Piece[][] = [
    [{ slab, start: 0, end: 2 }],
    [{ slab, start: 2, end: 3 }],
    [
      { slab, start: 4, end: 6 },
      { slab: other, start: 0, end: 1 },
    ],
  ];
  for (const pieces of spans) backlog.store(source, pieces);
  const slices = gather(backlog.take({ messages: 9, bytes: 1000 }));
  assert.deepEqual(
    slices.map((slice) => [...slice]),
    [[1, 2, 3], [5, 6], [9]],
  );
});
