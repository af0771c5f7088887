/** The SQL of token exchange: the subject tokens that were used, by digest, until they have ended. */
import type { Kysely } from 'kysely';
import type { Queries, RoomMigration, TransactionQueries } from '../../database/index.ts';

type ExchangeTables = { identity_exchanged: { digest: Buffer; ends_at: Date } };

export const exchangeMigrations: Record<string, RoomMigration> = {
  '031-exchanged': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_exchanged')
        .addColumn('digest', 'bytea', (c) => c.primaryKey())
        .addColumn('ends_at', 'timestamptz', (c) => c.notNull())
        .execute();
      await db.schema.createIndex('identity_exchanged_end').on('identity_exchanged').column('ends_at').execute();
    },
  },
};

const tables = (db: Queries) => db.withTables<ExchangeTables>();

/** False where it was used before. Of two at once, one waits for the other's transaction and then knows. */
export async function takeSubjectToken(trx: TransactionQueries, digest: Buffer, endsAt: Date): Promise<boolean> {
  const row = await tables(trx)
    .insertInto('identity_exchanged')
    .values({ digest, ends_at: endsAt })
    .onConflict((c) => c.column('digest').doNothing())
    .returning('digest')
    .executeTakeFirst();
  return row !== undefined;
}

/** Those that are refused for their age anyway; a minute more for clocks that differ. */
export async function pruneExchanged(db: Queries, now: Date): Promise<void> {
  await tables(db)
    .deleteFrom('identity_exchanged')
    .where('ends_at', '<', new Date(now.getTime() - 60_000))
    .execute();
}
