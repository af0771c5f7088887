/** Migrations: order, races, rights, histories that do not fit. Each test has a database of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import pg from 'pg';
import { systemClock } from '../clock.ts';
import { silentLog } from './log.ts';
import { MigrationError, migrate, orderSteps, type RoomMigration, type RoomMigrations } from './migrate.ts';
import { testDatabase } from './testing.ts';

const options = { clock: systemClock, log: silentLog };
const step = (text: string): RoomMigration => ({ up: async (db) => void (await sql.raw(text).execute(db)) });

const first: RoomMigrations = {
  room: 'first',
  migrations: {
    '001-base': step('create table parent (id int8 primary key)'),
    '002-log': step('create table log (line text) partition by list (line)'),
  },
  appendOnly: ['log'],
};
const second: RoomMigrations = {
  room: 'second',
  migrations: { '001-child': step('create table child (id bigserial primary key, parent int8 references parent)') },
};

test('rooms migrate in the order handed in, and a second run finds nothing to do', async (t) => {
  const { embedded } = await testDatabase(t, []);
  const done = await migrate({ embedded }, [first, second], options);
  assert.deepEqual(done.applied, ['first/001-base', 'first/002-log', 'second/001-child']);
  assert.deepEqual((await migrate({ embedded }, [first, second], options)).applied, []);
});

test('two migrators at once apply every step once', async (t) => {
  const { embedded, database } = await testDatabase(t, []);
  const both = await Promise.all([
    migrate({ embedded }, [first, second], options),
    migrate({ embedded }, [first, second], options),
  ]);
  assert.equal(both.flatMap((r) => r.applied).length, 3);
  const rows = await sql<{ count: number }>`select count(*) as count from kysely_migration`.execute(database.kysely);
  assert.equal(rows.rows[0]?.count, 3);
});

test('the application writes rows, adds only to append-only tables and their partitions, and changes no table', async (t) => {
  const partition = {
    ...first,
    migrations: { ...first.migrations, '003-part': step("create table log_a partition of log for values in ('a')") },
  };
  const { database } = await testDatabase(t, [partition, second]);
  const run = (text: string): Promise<unknown> => sql.raw(text).execute(database.kysely);
  await run('insert into parent values (1); ');
  await run('insert into child (parent) values (1)');
  await run('update child set parent = null');
  await run("insert into log values ('a')");
  for (const forbidden of [
    "update log set line = 'a'",
    'delete from log_a',
    'truncate log',
    'delete from log',
    'alter table parent add column x int',
    'drop table child',
    'create table mine (x int)',
    'insert into kysely_migration values (1, 2)',
  ]) {
    await assert.rejects(run(forbidden), /permission denied|must be owner/, forbidden);
  }
});

test('a table that becomes append-only later loses the rights to change it', async (t) => {
  const { embedded, database } = await testDatabase(t, [first]);
  await sql`delete from parent`.execute(database.kysely);
  await migrate({ embedded }, [{ ...first, appendOnly: ['log', 'parent'] }], options);
  await assert.rejects(sql`delete from parent`.execute(database.kysely), /permission denied/);
});

test('a step that fails leaves nothing of the whole call', async (t) => {
  const { embedded } = await testDatabase(t, []);
  const broken = { room: 'second', migrations: { '001-bad': step('create table half (id int8); select 1/0') } };
  await assert.rejects(
    migrate({ embedded }, [first, broken], options),
    (e) => e instanceof MigrationError && /second\/001-bad: division/.test(e.message),
  );
  const client = new pg.Client(embedded.ownerConnection);
  await client.connect();
  t.after(() => client.end());
  const tables = await client.query("select to_regclass('parent') as parent, to_regclass('half') as half");
  assert.deepEqual(tables.rows, [{ parent: null, half: null }]);
});

test('a database of a newer release, a late step before an old one and an unknown append-only table are refused', async (t) => {
  const { embedded } = await testDatabase(t, [first, second]);
  await assert.rejects(migrate({ embedded }, [first], options), /second\/001-child.*missing/);
  const late = { ...first, migrations: { ...first.migrations, '001-aaa': step('select 1') } };
  await assert.rejects(migrate({ embedded }, [late, second], options), /001-aaa is new but sorts before/);
  await assert.rejects(
    migrate({ embedded }, [first, { ...second, appendOnly: ['chlid'] }], options),
    /chlid does not exist/,
  );
});

test('a room in the middle may add a step after later rooms have run', async (t) => {
  const { embedded } = await testDatabase(t, [first, second]);
  const grown = { ...first, migrations: { ...first.migrations, '003-more': step('create table more (id int8)') } };
  assert.deepEqual((await migrate({ embedded }, [grown, second], options)).applied, ['first/003-more']);
});

test('malformed and doubled names are refused', () => {
  assert.throws(() => orderSteps([{ room: 'A b', migrations: {} }]), MigrationError);
  assert.throws(() => orderSteps([first, first]), MigrationError);
  assert.throws(() => orderSteps([{ room: 'x', migrations: { '001 a': step('') } }]), MigrationError);
});
