/** The outbox: order under concurrency, at-least-once, take-over, cuts of the connection, pruning. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { sql } from 'kysely';
import { systemClock } from '../../clock.ts';
import type { Database } from '../connect.ts';
import { silentLog } from '../log.ts';
import { testDatabase } from '../testing.ts';
import { transaction } from '../transaction.ts';
import { pause, until } from '../wait.ts';
import { emit } from './emit.ts';
import { databaseMigrations } from './migrations.ts';
import type { OutboxEvent } from './outbox.ts';
import { pruneOutbox } from './prune-outbox.ts';
import { type OutboxReader, type ReadOutboxOptions, readOutbox } from './read-outbox.ts';

const rooms = [databaseMigrations];
const patience = { clock: systemClock, timeoutMs: 10_000 };

function read(
  t: TestContext,
  database: Database,
  options: Partial<ReadOutboxOptions>,
): { seen: OutboxEvent[]; reader: OutboxReader } {
  const seen: OutboxEvent[] = [];
  const handle = async (events: readonly OutboxEvent[]): Promise<void> => void seen.push(...events);
  const reader = readOutbox(database, {
    topics: [],
    from: 'oldest',
    handle,
    clock: systemClock,
    log: silentLog,
    ...options,
  });
  t.after(() => reader.stop());
  return { seen, reader };
}

const emitOne = (database: Database, topic: string, payload: unknown): Promise<void> =>
  transaction(database.kysely, (trx) => emit(trx, { topic, key: 'k', payload }));

const reached = async (seen: readonly unknown[], count: number): Promise<void> => {
  assert.ok(
    await until(patience, () => (seen.length >= count ? true : undefined)),
    `${seen.length} of ${count} events arrived`,
  );
};

test('an event exists only if its transaction commits, and readers get topic, key, payload and time', async (t) => {
  const { database } = await testDatabase(t, rooms);
  const { seen } = read(t, database, { topics: ['token.revoked'] });
  await emitOne(database, 'other', 1);
  await assert.rejects(
    transaction(database.kysely, async (trx) => {
      await emit(trx, { topic: 'token.revoked', key: 'tok_1', payload: null });
      throw new Error('no');
    }),
    /no/,
  );
  await transaction(database.kysely, (trx) =>
    emit(trx, { topic: 'token.revoked', key: 'tok_2', payload: { deep: ['x', 1] } }),
  );
  await reached(seen, 1);
  const { emittedAt, ...rest } = seen[0] ?? assert.fail();
  assert.deepEqual(rest, { position: 2, topic: 'token.revoked', key: 'tok_2', payload: { deep: ['x', 1] } });
  assert.ok(emittedAt instanceof Date);
  assert.equal(seen.length, 1);
});

test('whatever the order of commits, a reader never finds a position below one it has seen, and misses none', async (t) => {
  const { database } = await testDatabase(t, rooms);
  const writer = fc.record({
    events: fc.integer({ min: 1, max: 4 }),
    holdMs: fc.integer({ min: 0, max: 12 }),
    commits: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(writer, { minLength: 2, maxLength: 12 }), async (writers) => {
      const head = await sql<{ position: number }>`select position from outbox_head`.execute(database.kysely);
      const from = head.rows[0]?.position ?? 0;
      const readers = [1, 2].map(() => read(t, database, { from, batch: 3 }));
      const emitted: string[] = [];
      await Promise.all(
        writers.map(async ({ events, holdMs, commits }, w) => {
          const work = transaction(database.kysely, async (trx) => {
            for (let e = 0; e < events; e++) {
              await emit(trx, { topic: 'order', key: `${w}`, payload: e });
              await pause(systemClock, holdMs);
            }
            if (!commits) throw new Error('rolled back');
          });
          await work.then(
            () => emitted.push(...Array.from({ length: events }, (_, e) => `${w}/${e}`)),
            (error: unknown) => assert.match(String(error), /rolled back/),
          );
        }),
      );
      for (const { seen, reader } of readers) {
        await reached(seen, emitted.length);
        await reader.stop();
        assert.deepEqual(
          seen.map((e) => e.position),
          emitted.map((_, i) => from + 1 + i),
          'positions are without gaps and ascending',
        );
        assert.deepEqual(seen.map((e) => `${e.key}/${e.payload}`).sort(), emitted.sort());
        for (const key of new Set(seen.map((e) => e.key))) {
          const payloads = seen.filter((e) => e.key === key).map((e) => e.payload);
          assert.deepEqual(payloads, payloads.toSorted(), 'events of one transaction keep their order');
        }
      }
    }),
    { numRuns: 8 },
  );
});

test('a durable consumer goes on where it stopped, and what failed comes again', async (t) => {
  const { database } = await testDatabase(t, rooms);
  for (const n of [1, 2, 3]) await emitOne(database, 'a', n);
  let failures = 1;
  const got: unknown[] = [];
  const handle = async (events: readonly OutboxEvent[]): Promise<void> => {
    for (const event of events) {
      if (event.payload === 2 && failures-- > 0) throw new Error('not now');
      got.push(event.payload);
    }
  };
  const first = read(t, database, { consumer: 'streams', batch: 2, handle });
  await reached(got, 4);
  await first.reader.stop();
  assert.deepEqual(got, [1, 1, 2, 3], 'the batch that failed came again whole');
  await emitOne(database, 'a', 4);
  const second = read(t, database, { consumer: 'streams' });
  await reached(second.seen, 1);
  assert.deepEqual(
    second.seen.map((e) => e.payload),
    [4],
  );
});

test('of two readers of one consumer one works, and the other takes over when it stops', async (t) => {
  const { database } = await testDatabase(t, rooms);
  const one = read(t, database, { consumer: 'c' });
  await one.reader.started;
  const two = read(t, database, { consumer: 'c' });
  await emitOne(database, 'a', 1);
  await reached(one.seen, 1);
  assert.equal(two.seen.length, 0);
  await one.reader.stop();
  await emitOne(database, 'a', 2);
  await reached(two.seen, 1);
  assert.deepEqual(
    two.seen.map((e) => e.payload),
    [2],
  );
});

test('readers whose connections are cut again and again miss nothing', async (t) => {
  const { database } = await testDatabase(t, rooms);
  const durable = read(t, database, { consumer: 'd' });
  const passing = read(t, database, { from: 'now' });
  await Promise.all([durable.reader.started, passing.reader.started]);
  for (let n = 0; n < 20; n++) {
    if (n % 5 === 2) {
      await sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like 'beamway-outbox%' and usename = current_user`.execute(
        database.kysely,
      );
    }
    await emitOne(database, 'a', n);
  }
  const distinct = (seen: readonly OutboxEvent[]): number => new Set(seen.map((e) => e.position)).size;
  for (const { seen } of [durable, passing]) {
    assert.ok(await until(patience, () => (distinct(seen) === 20 ? true : undefined)), `${distinct(seen)} of 20`);
  }
});

test('events whose wake-up was lost are found by polling', async (t) => {
  const { database } = await testDatabase(t, rooms);
  const { seen, reader } = read(t, database, { from: 'now' });
  await reader.started;
  await sql`insert into outbox_pending (topic, key, payload) values ('silent', 'k', '1')`.execute(database.kysely);
  await reached(seen, 1);
});

test('emit wakes readers also from a transaction that is not ours', async (t) => {
  const { database } = await testDatabase(t, rooms);
  const { seen, reader } = read(t, database, { from: 'now' });
  await reader.started;
  await database.kysely.transaction().execute((trx) => emit(trx, { topic: 'a', key: 'k', payload: 1 }));
  await reached(seen, 1);
});

test('pruning waits for living consumers, forgets dead ones and keeps young events', async (t) => {
  const { database } = await testDatabase(t, rooms);
  for (const n of [1, 2, 3]) await emitOne(database, 'a', n);
  const { seen, reader } = read(t, database, { from: 'oldest' });
  await reached(seen, 3);
  await reader.stop();
  await sql`insert into outbox_consumer (name, position) values ('slow', 2)`.execute(database.kysely);
  const day = 86_400_000;
  assert.equal((await pruneOutbox(database, { keepMs: day, forgetConsumersAfterMs: day })).deletedEvents, 0);
  assert.equal((await pruneOutbox(database, { keepMs: 0, forgetConsumersAfterMs: day })).deletedEvents, 2);
  const last = await pruneOutbox(database, { keepMs: 0, forgetConsumersAfterMs: 0 });
  assert.deepEqual(last, { deletedEvents: 1, forgottenConsumers: ['slow'] });
});
