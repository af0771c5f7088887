/** Signed checkpoints on a real database: what somebody with the owner's rights cannot hide, and what a crash leaves behind. */
import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sql } from 'kysely';
import { openDatabase, silentLog } from '../database/index.ts';
import { signCheckpoint } from './checkpoint.ts';
import { parseCheckpointLines } from './checkpoint-file.ts';
import { insertCheckpoint } from './checkpoint-store.ts';
import { type ChainReport, checkpointsFrom, openAuditKeys, recordsPage, sealChain, takeCheckpoint } from './index.ts';
import { chainDigest, storable } from './record.ts';
import { recordsFrom } from './store.ts';
import { ROOMS, type TestChain, testChain } from './testing.ts';

const RULES = { keepDays: 365, partitionDays: 30, checkpointRecords: 100, checkpointMinutes: 15 };

/** Rewrites the chain from a record on so that every link holds again: what the owner of the tables can do. */
async function rewriteFrom({ owner }: TestChain, sequence: number): Promise<void> {
  const records = await recordsFrom(owner.kysely, sequence - 2, 1000);
  let digest = records[0]?.digest ?? assert.fail();
  for (const record of records.slice(1)) {
    const changed = { ...record, subject: 'eve' };
    digest = chainDigest(digest, record.sequence, storable(changed));
    await sql`update audit_record set subject = 'eve', digest = ${digest} where sequence = ${record.sequence}`.execute(
      owner.kysely,
    );
  }
  await sql`update audit_head set digest = ${digest}`.execute(owner.kysely);
}

/** Takes the end off and moves the head back to where it was then. */
async function cutTo({ owner }: TestChain, sequence: number): Promise<void> {
  await sql`delete from audit_record where sequence > ${sequence}`.execute(owner.kysely);
  await sql`update audit_head set (sequence, digest) = (select sequence, digest from audit_record where sequence = ${sequence})`.execute(
    owner.kysely,
  );
}

const broken = (report: ChainReport) => (report.intact ? report : [report.brokenAt, report.type]);

test('a checkpoint seals the chain, stands in database, file and log, and is not made twice', async (t) => {
  const chain = await testChain(t, 12);
  const made = await takeCheckpoint(chain.seal);
  assert.equal(made?.sequence, 12);
  assert.deepEqual(
    parseCheckpointLines(readFileSync(chain.seal.file, 'utf8')),
    await checkpointsFrom(chain.owner.kysely, 0),
  );
  assert.equal(statSync(chain.seal.file).mode & 0o777, 0o600);
  const [newest] = await recordsPage(chain.owner.kysely, { limit: 1 });
  assert.deepEqual([newest?.action, newest?.callerKind, newest?.detail['sequence']], ['audit.sealed', 'system', 12]);
  assert.equal((await takeCheckpoint(chain.seal))?.sequence, 12, 'its own record alone is not worth another');
  const report = await chain.verify();
  assert.deepEqual(report.intact && [report.records, report.signedThrough], [13, 12]);
});

const HIDING: readonly (readonly [string, (chain: TestChain) => Promise<void>, number, string])[] = [
  ['rewrites the chain', (chain) => rewriteFrom(chain, 5), 20, 'checkpoint-mismatch'],
  [
    'rewrites the chain and takes the checkpoint out of the database',
    async (chain) => {
      await rewriteFrom(chain, 5);
      await sql`delete from audit_checkpoint`.execute(chain.owner.kysely);
    },
    20,
    'checkpoint-mismatch',
  ],
  [
    'rewrites the chain and seals it with a key of their own',
    async (chain) => {
      await rewriteFrom(chain, 5);
      await sql`delete from audit_checkpoint`.execute(chain.owner.kysely);
      const [record] = await recordsFrom(chain.owner.kysely, 19, 1);
      const { signer } = openAuditKeys(join(chain.folder, 'theirs'));
      const digest = record?.digest ?? assert.fail();
      const forged = signCheckpoint(signer, { kind: 'mark', sequence: 20, digest, at: new Date() });
      await insertCheckpoint(chain.owner.kysely, forged);
    },
    20,
    'unsigned',
  ],
  [
    'takes a checkpoint out of the database',
    (c) => sql`delete from audit_checkpoint`.execute(c.owner.kysely).then(),
    20,
    'checkpoint-mismatch',
  ],
  ['cuts the end off', (chain) => cutTo(chain, 15), 16, 'truncated'],
  [
    'cuts the end off, and the checkpoint too',
    async (chain) => {
      await cutTo(chain, 15);
      await sql`delete from audit_checkpoint`.execute(chain.owner.kysely);
    },
    16,
    'truncated',
  ],
  [
    'cuts the begin off and says it was dropped after its retention',
    async (chain) => {
      const [record] = await recordsFrom(chain.owner.kysely, 4, 1);
      const { signer } = openAuditKeys(join(chain.folder, 'theirs'));
      const digest = record?.digest ?? assert.fail();
      const forged = signCheckpoint(signer, { kind: 'start', sequence: 5, digest, at: new Date() });
      await insertCheckpoint(chain.owner.kysely, forged);
      await sql`delete from audit_record where sequence <= 5`.execute(chain.owner.kysely);
    },
    6,
    'unsigned',
  ],
];

for (const [what, hide, brokenAt, type] of HIDING) {
  test(`somebody with the owner’s rights is found out: ${what}`, async (t) => {
    const chain = await testChain(t, 20);
    await takeCheckpoint(chain.seal);
    await chain.append(3);
    assert.ok((await chain.verify()).intact);
    await hide(chain);
    assert.deepEqual(broken(await chain.verify()), [brokenAt, type]);
  });
}

test('a chain that is broken behind the last checkpoint is not sealed', async (t) => {
  const chain = await testChain(t, 20);
  await takeCheckpoint(chain.seal);
  await chain.append(5);
  await sql`update audit_record set subject = 'eve' where sequence = 23`.execute(chain.owner.kysely);
  await assert.rejects(takeCheckpoint(chain.seal), /altered: record 23/);
  assert.equal((await checkpointsFrom(chain.owner.kysely, 0)).length, 1);
});

test('the application can add a checkpoint, never change or take out one; nor a period', async (t) => {
  const chain = await testChain(t, 3);
  await takeCheckpoint(chain.seal);
  for (const statement of [
    sql`update audit_checkpoint set sequence = 2`,
    sql`delete from audit_checkpoint`,
    sql`update audit_period set first_sequence = 2`,
    sql`drop table audit_record_p1`,
    sql`alter table audit_record detach partition audit_record_p1`,
  ])
    await assert.rejects(
      statement.execute(chain.database.kysely),
      (thrown: unknown) => thrown instanceof Error && 'code' in thrown && thrown.code === '42501',
    );
});

test('replicas that seal at once make one checkpoint, one line and one record', async (t) => {
  const chain = await testChain(t, 50);
  const others = Array.from({ length: 4 }, () =>
    openDatabase({ embedded: chain.embedded }, { clock: chain.seal.clock, log: silentLog, maxConnections: 3 }),
  );
  t.after(() => Promise.all(others.map((o) => o.close())).then(() => undefined));
  await Promise.all(others.map((o) => takeCheckpoint({ ...chain.seal, db: o.kysely })));
  const records = await recordsPage(chain.owner.kysely, { limit: 100, action: 'audit.sealed' });
  assert.equal(records.length, (await checkpointsFrom(chain.owner.kysely, 0)).length);
  assert.equal(readFileSync(chain.seal.file, 'utf8').trim().split('\n').length, records.length);
  assert.ok((await chain.verify()).intact);
});

test('a crash between database and file, or inside a line, is made good by the next checkpoint', async (t) => {
  const chain = await testChain(t, 5);
  await takeCheckpoint(chain.seal);
  await chain.append(5);
  await takeCheckpoint(chain.seal);
  const whole = readFileSync(chain.seal.file, 'utf8');
  for (const left of ['', whole.slice(0, 40), whole.slice(0, -30), whole.slice(0, -1)]) {
    writeFileSync(chain.seal.file, left);
    assert.ok((await chain.verify()).intact, 'a file that is behind contradicts nothing');
    await takeCheckpoint(chain.seal);
    assert.equal(parseCheckpointLines(readFileSync(chain.seal.file, 'utf8')).length >= 2, true);
    assert.ok((await chain.verify()).intact);
  }
  rmSync(chain.seal.file);
  await takeCheckpoint(chain.seal);
  assert.equal(parseCheckpointLines(readFileSync(chain.seal.file, 'utf8')).length, 2);
  appendFileSync(chain.seal.file, 'noise\n');
  assert.ok((await chain.verify()).intact);
});

test('the chain is sealed after so many records, after so long, and not for nothing', async (t) => {
  const chain = await testChain(t, 5);
  const count = async (): Promise<number> => (await checkpointsFrom(chain.owner.kysely, 0)).length;
  await sealChain(chain.seal, RULES);
  assert.equal(await count(), 1, 'the first one at once');
  await chain.append(50);
  await sealChain(chain.seal, RULES);
  assert.equal(await count(), 1);
  await chain.append(50);
  await sealChain(chain.seal, RULES);
  assert.equal(await count(), 2, 'enough records');
  chain.passDays(1);
  await sealChain(chain.seal, RULES);
  assert.equal(await count(), 2, 'nothing but its own record since');
  await chain.append(2);
  await sealChain(chain.seal, RULES);
  assert.equal(await count(), 3, 'enough time');
});

test('a key is made once, readable by its owner only, and one that was replaced is trusted on', async (t) => {
  const chain = await testChain(t, 3);
  await takeCheckpoint(chain.seal);
  const path = join(chain.folder, 'signing-key.pem');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(openAuditKeys(chain.folder).signer.keyId, chain.keys.signer.keyId);
  rmSync(path);
  const next = openAuditKeys(chain.folder);
  assert.notEqual(next.signer.keyId, chain.keys.signer.keyId);
  assert.deepEqual([...next.trusted.keys()].sort(), [next.signer.keyId, chain.keys.signer.keyId].sort());
  chmodSync(path, 0o644);
  assert.throws(() => openAuditKeys(chain.folder), /can be read by others/);
});

test('every table of the room that may only grow is named as append-only', () => {
  assert.deepEqual(ROOMS.at(-1)?.appendOnly, ['audit_record', 'audit_period', 'audit_checkpoint']);
});
