/** Retention on a real database: periods are dropped whole, by the owner, when they are old, sealed and intact; the chain then begins behind them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { sql } from 'kysely';
import { checkpointsFrom, pruneLog, recordsPage, sealChain, takeCheckpoint, verifyRecords } from './index.ts';
import { type TestChain, testChain } from './testing.ts';

const RULES = { keepDays: 90, partitionDays: 30, checkpointRecords: 1000, checkpointMinutes: 15 };

const prune = (chain: TestChain, archive?: string) =>
  pruneLog(
    {
      ...chain.seal,
      db: chain.owner.kysely,
      trusted: chain.keys.trusted,
      by: 'test',
      ...(archive === undefined ? {} : { archive }),
    },
    RULES,
  );

/** Some records a month; the look of the keeper at the end of each ends its period. */
async function months(chain: TestChain, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await chain.append(20);
    chain.passDays(31);
    await sealChain(chain.seal, RULES);
  }
}

test('what is older than the retention is dropped, oldest first, and the chain verifies from there', async (t) => {
  const chain = await testChain(t, 0);
  await months(chain, 5);
  const archive = join(chain.folder, 'archive');
  const pruned = await prune(chain, archive);
  // Five periods ended 0, 31, 62, 93 and 124 days ago.
  assert.deepEqual(
    pruned.map((p) => p.period),
    [1, 2],
  );
  const last = pruned.at(-1)?.through ?? 0;
  const report = await chain.verify();
  assert.ok(report.intact, JSON.stringify(report));
  assert.equal(report.first, last + 1);
  const [oldest] = await recordsPage(chain.owner.kysely, { limit: 1, after: 0 });
  assert.equal(oldest?.sequence, last + 1);
  const records = await recordsPage(chain.owner.kysely, { limit: 10, action: 'audit.pruned' });
  assert.deepEqual(
    records.toReversed().map((r) => [r.detail['from'], r.detail['through'], r.callerKind]),
    pruned.map((p) => [p.from, p.through, 'system']),
  );
  for (const [i, { archive: kept }] of pruned.entries()) {
    const path = join(archive, kept?.file ?? '');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), kept?.sha256);
    assert.deepEqual(records.toReversed()[i]?.detail['archive'], { ...kept });
    const archived = await verifyRecords(createInterface({ input: createReadStream(path) }));
    assert.deepEqual(archived.intact && [archived.first, archived.last], [pruned[i]?.from, pruned[i]?.through]);
  }
  assert.deepEqual(await prune(chain), [], 'the rest is too young');
  await months(chain, 1);
  assert.ok((await chain.verify()).intact, 'and the log goes on');
});

test('what no checkpoint seals is not dropped', async (t) => {
  const chain = await testChain(t, 0);
  await months(chain, 5);
  await sql`delete from audit_checkpoint where sequence > 10`.execute(chain.owner.kysely);
  assert.deepEqual(
    await pruneLog(
      {
        ...chain.seal,
        db: chain.owner.kysely,
        trusted: chain.keys.trusted,
        by: 'test',
        file: join(chain.folder, 'another.jsonl'),
      },
      RULES,
    ),
    [],
  );
});

test('a broken chain is kept as it is', async (t) => {
  const chain = await testChain(t, 0);
  await months(chain, 5);
  await sql`update audit_record set subject = 'eve' where sequence = 7`.execute(chain.owner.kysely);
  await assert.rejects(prune(chain), /broken at record 7 \(altered\): nothing is dropped/);
});

test('a prune that dies after the drop is complete in the database, and the file is made good', async (t) => {
  const chain = await testChain(t, 0);
  await months(chain, 5);
  const behind = join(chain.folder, 'another.jsonl');
  const deps = { ...chain.seal, db: chain.owner.kysely, trusted: chain.keys.trusted, by: 'test', file: behind };
  assert.equal((await pruneLog(deps, RULES)).length, 2);
  assert.ok((await chain.verify()).intact, 'the signed start in the database is enough');
  await chain.append(1);
  await takeCheckpoint(chain.seal);
  const starts = (await checkpointsFrom(chain.owner.kysely, 0)).filter((c) => c.kind === 'start');
  assert.equal(readFileSync(chain.seal.file, 'utf8').split('"kind":"start"').length - 1, starts.length);
});

test('the application adds the next partition and no other, and owns none', async (t) => {
  const chain = await testChain(t, 3);
  const db = chain.database.kysely;
  await sql`create temporary table audit_head (period integer)`.execute(db);
  await sql`insert into pg_temp.audit_head values (77)`.execute(db);
  const made = await sql<{ period: number }>`select audit_add_partition() as period`.execute(db);
  assert.equal(made.rows[0]?.period, 2, 'a temporary table does not pass for ours');
  await sql`select audit_add_partition()`.execute(db);
  assert.deepEqual(await grantedTo(chain, 'audit_record_p2'), { owner: 'beamway_owner', mayDelete: false });
});

test('verification that meets a prune begins again behind it', async (t) => {
  const chain = await testChain(t, 0);
  await months(chain, 5);
  const reports = await Promise.all([chain.verify(), prune(chain).then(() => chain.verify()), chain.verify()]);
  for (const report of reports) assert.ok(report.intact, JSON.stringify(report));
});

async function grantedTo(
  chain: TestChain,
  table: string,
): Promise<{ readonly owner: string; readonly mayDelete: boolean }> {
  const found = await sql<{ owner: string; mayDelete: boolean }>`
    select pg_get_userbyid(relowner)::text as owner, has_table_privilege('beamway', oid, 'DELETE') as "mayDelete"
    from pg_class where relname = ${table}`.execute(chain.owner.kysely);
  return found.rows[0] ?? { owner: '', mayDelete: false };
}
