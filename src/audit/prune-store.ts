/** SQL of dropping a period whole. Works for the role that owns the tables only. */
import { sql } from 'kysely';
import type { Queries, TransactionQueries } from '../database/index.ts';
import type { AuditRecord, StorableEntry } from './record.ts';
import { recordFrom } from './store.ts';
import { tables } from './tables-store.ts';

/** How long the drop may hold up the log while it waits for readers of the partition. */
const LOCK_PATIENCE = '5s';

export async function partitionExists(db: Queries, period: number): Promise<boolean> {
  const asked = await sql<{
    there: boolean;
  }>`select to_regclass(${`audit_record_p${period}`}) is not null as there`.execute(db);
  return asked.rows[0]?.there === true;
}

/** Behind `after`, at most `limit`, in order. */
export async function recordsOfPeriod(
  db: Queries,
  period: number,
  page: { readonly after: number; readonly limit: number },
): Promise<readonly (AuditRecord & StorableEntry)[]> {
  const rows = await tables(db)
    .selectFrom('audit_record')
    .selectAll()
    .where('period', '=', period)
    .where('sequence', '>', page.after)
    .orderBy('sequence')
    .limit(page.limit)
    .execute();
  return rows.map(recordFrom);
}

/** The head first, as every appender does, then the partition: in that order nobody waits for us in a circle. */
export async function dropPeriod(trx: TransactionQueries, period: number): Promise<void> {
  const partition = sql.id(`audit_record_p${period}`);
  await sql`set local lock_timeout = ${sql.lit(LOCK_PATIENCE)}`.execute(trx);
  await tables(trx).selectFrom('audit_head').select('sequence').forUpdate().execute();
  await sql`alter table audit_record detach partition ${partition}`.execute(trx);
  await sql`drop table ${partition}`.execute(trx);
}
