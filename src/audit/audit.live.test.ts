/** The audit log on a real database: one chain whoever appends, and what a change behind its back looks like. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { systemClock } from '../clock.ts';
import { databaseMigrations, migrate, openDatabase, silentLog } from '../database/index.ts';
import { testDatabase } from '../database/testing.ts';
import { auditMigrations, openAuditLog, recordsPage, verifyChain } from './index.ts';
import { CHAIN_START, chainDigest, storable } from './record.ts';
import { entry, ROOMS, testChain } from './testing.ts';

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
  assert.deepEqual(await verifyChain(database.kysely), {
    intact: true,
    records: 0,
    head: '0'.repeat(64),
    first: 1,
    signedThrough: null,
  });
});

const TAMPERING = [
  ['a field changed', sql`update audit_record set subject = 'eve' where sequence = 7`, 7, 'altered', /does not match/],
  ['a time changed', sql`update audit_record set at = at + interval '1 ms' where sequence = 3`, 3, 'altered', /match/],
  ['a detail changed', sql`update audit_record set detail = '{"a":1}' where sequence = 12`, 12, 'altered', /match/],
  ['a record taken out', sql`delete from audit_record where sequence = 5`, 5, 'missing', /record 5 is missing/],
  ['the end cut off', sql`delete from audit_record where sequence > 9`, 10, 'truncated', /missing before the head/],
  ['the begin cut off', sql`delete from audit_record where sequence = 1`, 1, 'missing', /record 1 is missing/],
  [
    'two records exchanged',
    sql`update audit_record set sequence = case sequence when 4 then -8 else -4 end where sequence in (4, 8);
      update audit_record set sequence = -sequence where sequence < 0`,
    4,
    'reordered',
    /stands in the place of 8/,
  ],
  ['another head', sql`update audit_head set digest = sha256('x')`, 13, 'altered', /not the head/],
  [
    'a record slipped in beyond the head',
    sql`insert into audit_record select 20, at, request_id, phase, caller_kind, caller_id, subject, project, action,
      resource, status, detail, digest, period from audit_record where sequence = 12`,
    13,
    'altered',
    /record 20 lies beyond/,
  ],
] as const;

for (const [name, change, brokenAt, type, detail] of TAMPERING) {
  test(`verification finds the first broken link: ${name}`, async (t) => {
    const { database, owner } = await testChain(t, 12);
    assert.ok((await verifyChain(database.kysely)).intact);
    await change.execute(owner.kysely);
    const report = await verifyChain(database.kysely);
    assert.ok(!report.intact);
    assert.deepEqual([report.brokenAt, report.records, report.type], [brokenAt, brokenAt - 1, type]);
    assert.match(report.detail, detail);
  });
}

test('of several broken links the first is named', async (t) => {
  const { database, owner } = await testChain(t, 12);
  await sql`update audit_record set action = 'x' where sequence in (11, 6, 8)`.execute(owner.kysely);
  const report = await verifyChain(database.kysely);
  assert.ok(!report.intact && report.brokenAt === 6);
});

test('the application’s role can neither change nor delete a record, nor empty the table, nor own it', async (t) => {
  const { database } = await testChain(t, 3);
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
  const { database, owner } = await testChain(t, 2);
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

test('pages are also oldest first, and filtered by caller, subject, phase, status and time', async (t) => {
  const { database } = await testDatabase(t, ROOMS);
  const log = openAuditLog(database.kysely);
  const day = (n: number) => new Date(Date.UTC(2026, 0, n));
  await log.append(entry({ at: day(1), callerId: 'tok_a' }));
  await log.append(entry({ at: day(2), subject: 'eve', phase: 'denied', status: 403 }));
  await log.append(entry({ at: day(3), callerId: 'tok_a', phase: 'outcome', status: 201 }));
  const page = async (filter: object): Promise<number[]> =>
    (await recordsPage(database.kysely, { limit: 10, ...filter })).map((r) => r.sequence);
  assert.deepEqual(await page({ caller: 'tok_a' }), [3, 1]);
  assert.deepEqual(await page({ subject: 'eve' }), [2]);
  assert.deepEqual(await page({ phase: 'denied' }), [2]);
  assert.deepEqual(await page({ status: 201 }), [3]);
  assert.deepEqual(await page({ since: day(2), until: day(3) }), [2]);
  assert.deepEqual(await page({ after: 0 }), [1, 2, 3]);
  assert.deepEqual(await page({ after: 1, limit: 1 }), [2]);
});

test('times of any year that a database holds verify, and those before all history are refused', async (t) => {
  const { database } = await testDatabase(t, ROOMS);
  const log = openAuditLog(database.kysely);
  const years = ['-004712-06-01T00:00:00.001Z', '0000-01-01T00:00:00.000Z', '0001-01-01T00:00:00.120Z'];
  for (const at of [...years, '9999-12-31T23:59:59.999Z', '+010000-01-01T00:00:00.010Z', '+275760-09-13T00:00:00.000Z'])
    await log.append(entry({ at: new Date(at) }));
  await assert.rejects(log.append(entry({ at: new Date('-004713-01-01T00:00:00Z') })), RangeError);
  const report = await verifyChain(database.kysely);
  assert.deepEqual([report.intact, report.records], [true, 6], JSON.stringify(report));
});

test('a log of before partitions becomes the first one: nothing is lost, the chain goes on', async (t) => {
  const { '001-record': first } = auditMigrations;
  assert.ok(first !== undefined);
  const { database, embedded } = await testDatabase(t, [
    databaseMigrations,
    { room: 'audit', migrations: { '001-record': first }, appendOnly: ['audit_record'] },
  ]);
  let digest: Buffer = CHAIN_START;
  for (let sequence = 1; sequence <= 3; sequence++) {
    const { at, detailText, ...e } = storable(entry({ requestId: `req_${sequence}` }));
    digest = chainDigest(digest, sequence, { ...e, at, detailText });
    await sql`insert into audit_record values (${sequence}, ${at}, ${e.requestId}, ${e.phase}, ${e.callerKind}, ${e.callerId},
      ${e.subject}, ${e.project}, ${e.action}, ${e.resource}, ${e.status}, ${detailText}, ${digest})`.execute(
      database.kysely,
    );
    await sql`update audit_head set sequence = ${sequence}, digest = ${digest}`.execute(database.kysely);
  }
  await migrate({ embedded }, ROOMS, { clock: systemClock, log: silentLog });
  await openAuditLog(database.kysely).append(entry());
  const report = await verifyChain(database.kysely);
  assert.deepEqual([report.intact, report.records], [true, 4], JSON.stringify(report));
});
