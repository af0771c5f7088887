/** SQL of checkpoints and periods. The application may add to both and change neither. */
import { sql } from 'kysely';
import type { Queries, TransactionQueries } from '../database/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { type CheckpointRow, tables } from './tables-store.ts';

/** Advisory lock of whoever seals the chain or opens a period: "audit\0" read as a number. */
const SEAL_LOCK = 0x61756469_7400n;

/** False where another replica is at it; held until the transaction ends. */
export async function trySealLock(trx: TransactionQueries): Promise<boolean> {
  const asked = await sql<{ held: boolean }>`select pg_try_advisory_xact_lock(${sql.lit(SEAL_LOCK)}) as held`.execute(
    trx,
  );
  return asked.rows[0]?.held === true;
}

function checkpointOf(row: CheckpointRow): Checkpoint {
  return {
    kind: row.kind,
    sequence: row.sequence,
    digest: row.digest,
    at: row.at,
    keyId: row.key_id,
    signature: row.signature,
  };
}

/** In the order of their sequence numbers, a start before a mark. */
export async function checkpointsFrom(
  db: Queries,
  sequence: number,
  limit = 1_000_000,
): Promise<readonly Checkpoint[]> {
  const rows = await tables(db)
    .selectFrom('audit_checkpoint')
    .selectAll()
    .where('sequence', '>=', sequence)
    .orderBy('sequence')
    .orderBy('kind', 'desc')
    .limit(limit)
    .execute();
  return rows.map(checkpointOf);
}

export async function lastCheckpoint(db: Queries, kind?: Checkpoint['kind']): Promise<Checkpoint | undefined> {
  let query = tables(db).selectFrom('audit_checkpoint').selectAll().orderBy('sequence', 'desc').limit(1);
  if (kind !== undefined) query = query.where('kind', '=', kind);
  const row = await query.executeTakeFirst();
  return row === undefined ? undefined : checkpointOf(row);
}

export async function insertCheckpoint(trx: Queries, checkpoint: Checkpoint): Promise<void> {
  const { sequence, kind, digest, at, keyId, signature } = checkpoint;
  await tables(trx)
    .insertInto('audit_checkpoint')
    .values({ sequence, kind, digest, at, key_id: keyId, signature })
    .onConflict((c) => c.columns(['sequence', 'kind']).doNothing())
    .execute();
}

export interface Period {
  readonly period: number;
  readonly firstSequence: number;
  readonly openedAt: Date;
}

/** Oldest first; the last one is open. A dropped period keeps its row. */
export async function periods(db: Queries): Promise<readonly Period[]> {
  const rows = await tables(db).selectFrom('audit_period').selectAll().orderBy('period').execute();
  return rows.map((r) => ({ period: r.period, firstSequence: r.first_sequence, openedAt: r.opened_at }));
}

/** Ends the open period behind the head and opens the next; nobody appends meanwhile. Resolves to the last sequence number of the closed one. */
export async function openNextPeriod(trx: TransactionQueries, at: Date): Promise<number> {
  await sql`select audit_add_partition()`.execute(trx);
  const head = await tables(trx)
    .updateTable('audit_head')
    .set((e) => ({ period: e('period', '+', 1) }))
    .returning(['sequence', 'period'])
    .executeTakeFirstOrThrow();
  await tables(trx)
    .insertInto('audit_period')
    .values({ period: head.period, first_sequence: head.sequence + 1, opened_at: at })
    .execute();
  return head.sequence;
}
