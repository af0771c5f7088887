/** The audit log on a real database: one chain whoever appends, and what a change behind its back looks like. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { systemClock } from '../clock.ts';
import { type Database, databaseMigrations, openDatabase, type RoomMigrations, silentLog } from '../database/index.ts';
import { type TestDatabase, testDatabase } from '../database/testing.ts';
import { type AuditEntry, auditMigrations, openAuditLog, recordsPage, verifyChain } from './index.ts';

const ROOMS: readonly RoomMigrations[] = [
  databaseMigrations,
  { room: 'audit', migrations: auditMigrations, appendOnly: ['audit_record'] },
];

const entry = (change: Partial<AuditEntry> = {}): AuditEntry => ({
  at: new Date('2026-01-01T00:00:00.123Z'),
  requestId: 'req_1',
  phase: 'intent',
  callerKind: 'token',
  callerId: 'tok_1',
  subject: 'ada',
  project: 'demo',
  action: 'job.submit',
  resource: '',
  status: null,
  detail: {},
  ...change,
});

interface Chain extends TestDatabase {
  readonly owner: Database;
}

/** A log of `count` records, and the database as its owner sees it. */
async function chainOf(t: TestContext, count: number): Promise<Chain> {
  const made = await testDatabase(t, ROOMS);
  const { ownerConnection } = made.embedded;
  const target = { embedded: { connection: ownerConnection, ownerConnection } };
  const owner = openDatabase(target, { clock: systemClock, log: silentLog, maxConnections: 1 });
  t.after(() => owner.close());
  const log = openAuditLog(made.database.kysely);
  await Promise.all(Array.from({ length: count }, (_, i) => log.append(entry({ requestId: `req_${i}` }))));
  return { ...made, owner };
}

test('many appenders on two replicas make one chain without a gap, each record once, each replica’s in its order', async (t) => {
  const { database, embedded } = await testDatabase(t, ROOMS);
  const second = openDatabase({ embedded }, { clock: systemClock, log: silentLog, maxConnections: 3 });
  t.after(() => second.close());
  const logs = [openAuditLog(database.kysely), openAuditLog(second.kysely)];
  const each = 400;
  await Promise.all(
    logs.flatMap((log, l) => Array.from({ length: each }, (_, i) => log.append(entry({ requestId: `${l}/${i}` })))),
  );
  const records = (await recordsPage(database.kysely, { limit: 10_000 })).toReversed();
  assert.deepEqual(
    records.map((r) => r.sequence),
    Array.from({ length: 2 * each }, (_, i) => i + 1),
  );
  for (const l of [0, 1])
    assert.deepEqual(
      records.filter((r) => r.requestId.startsWith(`${l}/`)).map((r) => r.requestId),
      Array.from({ length: each }, (_, i) => `${l}/${i}`),
    );
  const report = await verifyChain(second.kysely);
  assert.deepEqual([report.intact, report.records], [true, 2 * each]);
});

test('an empty log is intact', async (t) => {
  const { database } = await testDatabase(t, ROOMS);
  assert.deepEqual(await verifyChain(database.kysely), { intact: true, records: 0, head: '0'.repeat(64) });
});

const TAMPERING = [
  ['a field changed', sql`update audit_record set subject = 'eve' where sequence = 7`, 7, /does not match/],
  ['a time changed', sql`update audit_record set at = at + interval '1 ms' where sequence = 3`, 3, /does not match/],
  ['a detail changed', sql`update audit_record set detail = '{"a":1}' where sequence = 12`, 12, /does not match/],
  ['a record taken out', sql`delete from audit_record where sequence = 5`, 5, /record 5 is missing/],
  ['the end cut off', sql`delete from audit_record where sequence > 9`, 10, /missing before the head/],
  ['the begin cut off', sql`delete from audit_record where sequence = 1`, 1, /record 1 is missing/],
  [
    'two records exchanged',
    sql`update audit_record set sequence = case sequence when 4 then -8 else -4 end where sequence in (4, 8);
      update audit_record set sequence = -sequence where sequence < 0`,
    4,
    /does not match/,
  ],
  ['another head', sql`update audit_head set digest = sha256('x')`, 13, /not the head/],
] as const;

for (const [name, change, brokenAt, detail] of TAMPERING) {
  test(`verification finds the first broken link: ${name}`, async (t) => {
    const { database, owner } = await chainOf(t, 12);
    assert.ok((await verifyChain(database.kysely)).intact);
    await change.execute(owner.kysely);
    const report = await verifyChain(database.kysely);
    assert.ok(!report.intact);
    assert.deepEqual([report.brokenAt, report.records], [brokenAt, brokenAt - 1]);
    assert.match(report.detail, detail);
  });
}

test('of several broken links the first is named', async (t) => {
  const { database, owner } = await chainOf(t, 12);
  await sql`update audit_record set action = 'x' where sequence in (11, 6, 8)`.execute(owner.kysely);
  const report = await verifyChain(database.kysely);
  assert.ok(!report.intact && report.brokenAt === 6);
});

test('the application’s role can neither change nor delete a record, nor empty the table, nor own it', async (t) => {
  const { database } = await chainOf(t, 3);
  for (const statement of [
    sql`update audit_record set subject = 'eve'`,
    sql`delete from audit_record`,
    sql`truncate audit_record`,
    sql`drop table audit_record`,
    sql`alter table audit_record add column x text`,
    sql`create rule r as on insert to audit_record do instead nothing`,
  ])
    await assert.rejects(
      statement.execute(database.kysely),
      (thrown: unknown) => thrown instanceof Error && 'code' in thrown && thrown.code === '42501',
    );
  assert.deepEqual((await verifyChain(database.kysely)).records, 3);
});

test('one record that cannot be written does not take its neighbours with it, and any text can be', async (t) => {
  const { database } = await testDatabase(t, ROOMS);
  const log = openAuditLog(database.kysely);
  const results = await Promise.allSettled([
    log.append(entry({ requestId: 'before' })),
    log.append(entry({ at: new Date(Number.NaN) })),
    log.append(entry({ resource: 'token/\0\ud800', subject: '\udfff', detail: { text: '\0\ud800' } })),
    log.append(entry({ requestId: 'after' })),
  ]);
  assert.deepEqual(
    results.map((r) => r.status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  );
  const report = await verifyChain(database.kysely);
  assert.deepEqual([report.intact, report.records], [true, 3]);
});

test('what could not be written because the database refused is told to whoever asked, and the log goes on', async (t) => {
  const { database, owner } = await chainOf(t, 2);
  const log = openAuditLog(database.kysely);
  await sql`revoke insert on audit_record from beamway`.execute(owner.kysely);
  await assert.rejects(log.append(entry()), /permission denied/);
  await sql`grant insert on audit_record to beamway`.execute(owner.kysely);
  await log.append(entry());
  const report = await verifyChain(database.kysely);
  assert.deepEqual([report.intact, report.records], [true, 3]);
});

test('pages are newest first, and filtered by project, request and action', async (t) => {
  const { database } = await testDatabase(t, ROOMS);
  const log = openAuditLog(database.kysely);
  for (const [project, action] of [
    ['demo', 'a'],
    ['beamtime', 'a'],
    ['demo', 'b'],
    ['demo', 'a'],
  ] as const)
    await log.append(entry({ project, action, requestId: `req_${project}` }));
  const page = async (filter: object): Promise<number[]> =>
    (await recordsPage(database.kysely, { limit: 10, ...filter })).map((r) => r.sequence);
  assert.deepEqual(await page({}), [4, 3, 2, 1]);
  assert.deepEqual(await page({ project: 'demo', action: 'a' }), [4, 1]);
  assert.deepEqual(await page({ requestId: 'req_beamtime' }), [2]);
  assert.deepEqual(await page({ limit: 2, before: 4 }), [3, 2]);
});
