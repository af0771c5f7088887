/** The pool, values, transactions: what is retried, what is not, and what never ends the process. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { sql } from 'kysely';
import { systemClock } from '../clock.ts';
import { clientConfig, type Database, openDatabase } from './connect.ts';
import { silentLog } from './log.ts';
import type { RoomMigrations } from './migrate.ts';
import { testDatabase } from './testing.ts';
import { CommitUnknownError, onceCommitted, transaction } from './transaction.ts';
import { isAway, isContention } from './transient.ts';
import { parseInt8 } from './types.ts';
import { until } from './wait.ts';

const rooms: readonly RoomMigrations[] = [
  {
    room: 'try',
    migrations: {
      '001-row': { up: async (db) => void (await sql`create table row (id int8 primary key, n int)`.execute(db)) },
    },
  },
];
const one = async <T>(database: Database, text: string): Promise<T | undefined> =>
  (await sql.raw<{ v: T }>(`select ${text} as v`).execute(database.kysely)).rows[0]?.v;
const cutAll = (database: Database, where = 'true'): Promise<unknown> =>
  sql
    .raw(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and usename = current_user and ${where}`)
    .execute(database.kysely);

async function second(t: TestContext, embedded: Parameters<typeof openDatabase>[0]): Promise<Database> {
  const database = openDatabase(embedded, { clock: systemClock, log: silentLog });
  t.after(() => database.close());
  return database;
}

test('int8 is an exact number or an error, timestamptz a Date, date and numeric text', async (t) => {
  const { database } = await testDatabase(t, []);
  assert.equal(await one(database, '9007199254740991::int8'), Number.MAX_SAFE_INTEGER);
  await assert.rejects(one(database, '9007199254740992::int8'), /beyond 2\^53/);
  assert.deepEqual(await one(database, "'{1,NULL,-2}'::int8[]"), [1, null, -2]);
  assert.deepEqual(
    await one(database, "'2026-02-03T04:05:06.789+01'::timestamptz"),
    new Date('2026-02-03T03:05:06.789Z'),
  );
  assert.equal(await one(database, "'2026-02-03'::date"), '2026-02-03');
  assert.equal(await one(database, '1.10::numeric'), '1.10');
  assert.equal(await one(database, 'count(*)'), 1, 'the pool goes on after the error');
});

test('every safe integer survives and no other passes', () => {
  fc.assert(fc.property(fc.maxSafeInteger(), (n) => parseInt8(String(n)) === n));
  fc.assert(
    fc.property(fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }), (n) => {
      assert.throws(() => parseInt8(String(n)), RangeError);
      assert.throws(() => parseInt8(String(-n)), RangeError);
    }),
  );
});

test('cut connections, idle or in use, do not end the process, and the next query finds a new one', async (t) => {
  const { database, embedded } = await testDatabase(t, []);
  const other = await second(t, { embedded });
  await Promise.all([1, 2, 3].map(() => one(database, 'pg_sleep(0.01)')));
  const inUse = one(database, "(select 'mark' from pg_sleep(30))");
  const failed = assert.rejects(inUse, isAway);
  const asleep = "query like 'select (select ''mark''%' and wait_event = 'PgSleep'";
  const running = (): Promise<true | undefined> =>
    one<number>(other, `(select count(*) from pg_stat_activity where ${asleep})`).then((n) =>
      n === 1 ? true : undefined,
    );
  assert.ok(await until({ clock: systemClock, timeoutMs: 10_000 }, running));
  await cutAll(other);
  await failed;
  assert.equal(await transaction(database.kysely, () => one(other, '1')), 1);
});

test('a transaction that loses its connection before COMMIT runs again, once committed', async (t) => {
  const { database, embedded } = await testDatabase(t, rooms);
  const other = await second(t, { embedded });
  let runs = 0;
  const committed: number[] = [];
  await transaction(database.kysely, async (trx) => {
    runs++;
    onceCommitted('count', () => committed.push(runs));
    await sql`insert into row values (1, ${runs})`.execute(trx);
    if (runs === 1) await cutAll(other);
    await sql`update row set n = n + 10`.execute(trx);
  });
  assert.deepEqual([runs, committed, await one(database, '(select n from row)')], [2, [2], 12]);
});

test('a connection lost at COMMIT is an unknown outcome, never a silent second run', async (t) => {
  const { database, embedded } = await testDatabase(t, rooms);
  const other = await second(t, { embedded });
  let runs = 0;
  const work = transaction(database.kysely, async (trx) => {
    runs++;
    await sql`insert into row values (1, 1)`.execute(trx);
    await cutAll(other);
  });
  await assert.rejects(work, CommitUnknownError);
  assert.equal(runs, 1);
});

test("transactions in each other's way all succeed in the end", async (t) => {
  const { database } = await testDatabase(t, rooms);
  await sql`insert into row values (1, 0)`.execute(database.kysely);
  const add = (): Promise<void> =>
    transaction(
      database.kysely,
      async (trx) => {
        const read = await sql<{ n: number }>`select n from row where id = 1`.execute(trx);
        await sql`update row set n = ${(read.rows[0]?.n ?? 0) + 1} where id = 1`.execute(trx);
      },
      { isolation: 'serializable', attempts: 20 },
    );
  await Promise.all([add(), add(), add(), add()]);
  assert.equal(await one(database, '(select n from row)'), 4);
});

test('what the work throws rolls back, runs once and comes out as it is', async (t) => {
  const { database } = await testDatabase(t, rooms);
  let runs = 0;
  const thrown = new Error('mine');
  await assert.rejects(
    transaction(database.kysely, async (trx) => {
      runs++;
      await sql`insert into row values (1, 1)`.execute(trx);
      throw thrown;
    }),
    (error) => error === thrown,
  );
  assert.deepEqual([runs, await one(database, '(select count(*) from row)')], [1, 0]);
  assert.equal(
    onceCommitted('x', () => {}),
    false,
    'outside of a transaction nothing is kept for later',
  );
});

test('connecting to a server that is not there gives up after the time allowed, and a wrong role at once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'beamway-none-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const at = { host: folder, port: 5432, database: 'x', user: 'x' };
  const none = openDatabase(
    { embedded: { connection: at, ownerConnection: at } },
    { clock: systemClock, log: silentLog, patienceMs: 60 },
  );
  t.after(() => none.close());
  await assert.rejects(one(none, '1'), isAway);
  const { embedded } = await testDatabase(t, []);
  const wrong = await second(t, {
    embedded: { ...embedded, connection: { ...embedded.connection, user: 'stranger' } },
  });
  await assert.rejects(one(wrong, '1'), (error) => !isAway(error) && !isContention(error));
});

test('an external server is reached by URL, its password read from a file at every connection', async (t) => {
  const { embedded } = await testDatabase(t, []);
  const { host, database: name, user } = embedded.connection;
  const folder = mkdtempSync(join(tmpdir(), 'beamway-password-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const passwordFile = join(folder, 'password');
  const url = `postgresql://${user}@/${name}?host=${encodeURIComponent(host)}`;
  const external = await second(t, { url, passwordFile });
  assert.equal(await one(external, 'current_user'), user);
  const { password } = clientConfig({ url, passwordFile }, 'application');
  assert.ok(typeof password === 'function');
  for (const secret of ['one', 'two']) {
    writeFileSync(passwordFile, `${secret}\n`);
    assert.equal(await password(), secret);
  }
  const asOwner = clientConfig({ url, passwordFile, ownerUrl: 'postgresql://o@/x' }, 'owner');
  assert.deepEqual([asOwner.connectionString, asOwner.password], ['postgresql://o@/x', undefined]);
});
