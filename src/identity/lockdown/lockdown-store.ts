/** SQL of lockdowns: one row each, at most one of them in force; `identity_epoch.lockdown_at` says the same to every replica several times a second. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration, TransactionQueries } from '../../database/index.ts';
import type { Lockdown } from './lockdown.ts';

type LockdownRow = {
  id: string;
  at: Date;
  by: string;
  reason: string;
  lifted_at: Date | null;
  lifted_by: string | null;
  lift_reason: string | null;
};

type LockdownTables = {
  identity_lockdown: LockdownRow;
  identity_epoch: { only_row: boolean; value: number; lockdown_at: Date | null };
};

export const lockdownMigrations: Record<string, RoomMigration> = {
  '050-lockdown': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_lockdown')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('at', 'timestamptz', (c) => c.notNull())
        .addColumn('by', 'text', (c) => c.notNull())
        .addColumn('reason', 'text', (c) => c.notNull())
        .addColumn('lifted_at', 'timestamptz')
        .addColumn('lifted_by', 'text')
        .addColumn('lift_reason', 'text')
        .execute();
      await sql`create unique index one_lockdown_in_force on identity_lockdown ((lifted_at is null)) where lifted_at is null`.execute(
        db,
      );
    },
  },
};

const tables = (db: Queries) => db.withTables<LockdownTables>();

const lockdownFrom = (row: LockdownRow): Lockdown => ({
  id: row.id,
  at: row.at,
  by: row.by,
  reason: row.reason,
  liftedAt: row.lifted_at,
  liftedBy: row.lifted_by,
  liftReason: row.lift_reason,
});

/** The one in force. Holding the epoch's row makes whoever sets and whoever lifts take turns. */
export async function heldLockdown(trx: TransactionQueries): Promise<Lockdown | undefined> {
  await tables(trx).selectFrom('identity_epoch').select('value').forUpdate().executeTakeFirstOrThrow();
  return lockdownInForce(trx);
}

/** True where none is in force; then none comes into force before the transaction ends. */
export async function lockdownHeldOff(trx: TransactionQueries): Promise<boolean> {
  const row = await tables(trx).selectFrom('identity_epoch').select('lockdown_at').forShare().executeTakeFirstOrThrow();
  return row.lockdown_at === null;
}

export async function lockdownInForce(db: Queries): Promise<Lockdown | undefined> {
  const row = await tables(db)
    .selectFrom('identity_lockdown')
    .selectAll()
    .where('lifted_at', 'is', null)
    .executeTakeFirst();
  return row === undefined ? undefined : lockdownFrom(row);
}

/** The last one, in force or lifted. */
export async function lastLockdown(db: Queries): Promise<Lockdown | undefined> {
  const row = await tables(db)
    .selectFrom('identity_lockdown')
    .selectAll()
    .orderBy('at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? undefined : lockdownFrom(row);
}

export async function insertLockdown(trx: TransactionQueries, lockdown: Lockdown): Promise<void> {
  const { id, at, by, reason } = lockdown;
  await tables(trx)
    .insertInto('identity_lockdown')
    .values({ id, at, by, reason, lifted_at: null, lifted_by: null, lift_reason: null })
    .execute();
  await tables(trx).updateTable('identity_epoch').set({ lockdown_at: at }).execute();
}

export async function markLifted(
  trx: TransactionQueries,
  lift: { readonly id: string; readonly at: Date; readonly by: string; readonly reason: string },
): Promise<void> {
  await tables(trx)
    .updateTable('identity_lockdown')
    .set({ lifted_at: lift.at, lifted_by: lift.by, lift_reason: lift.reason })
    .where('id', '=', lift.id)
    .execute();
  await tables(trx).updateTable('identity_epoch').set({ lockdown_at: null }).execute();
}
