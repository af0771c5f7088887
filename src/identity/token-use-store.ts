/** SQL of what a token's use leaves behind: uses spent and reserved, and use outside its stated purpose. Read and written only where a token is bounded or flagged. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration, TransactionQueries } from '../database/index.ts';

type TokenUseTables = {
  identity_token: {
    id: string;
    max_uses: number | null;
    uses: number;
    reserved_uses: number;
    revoked_at: Date | null;
  };
  identity_token_flag: { token: string; action: string; at: Date; times: number };
};

export const tokenUseMigrations: Record<string, RoomMigration> = {
  '010-token-use': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .alterTable('identity_token')
        .addColumn('reserved_uses', 'bigint', (c) => c.notNull().defaultTo(0))
        .addColumn('lifetime_seconds', 'bigint', (c) => c.notNull().defaultTo(0))
        .execute();
      await sql`update identity_token set lifetime_seconds = floor(extract(epoch from expires_at - not_before))`.execute(
        db,
      );
      await sql`alter table identity_token
        add constraint reserved_within_bounds check (reserved_uses >= 0 and (max_uses is null or uses + reserved_uses <= max_uses))`.execute(
        db,
      );
      // A value is replaced once; this is what holds two rotations of it apart, whatever the code thinks.
      await sql`create unique index identity_token_replaces on identity_token (replaces) where replaces is not null`.execute(
        db,
      );
      await db.schema
        .createTable('identity_token_flag')
        .addColumn('token', 'text', (c) => c.primaryKey().references('identity_token.id'))
        .addColumn('action', 'text', (c) => c.notNull())
        .addColumn('at', 'timestamptz', (c) => c.notNull())
        .addColumn('times', 'bigint', (c) => c.notNull())
        .execute();
    },
  },
};

const tables = (db: Queries) => db.withTables<TokenUseTables>();

/** Takes one use, in one statement, so that two replicas never take the same one. False where none is left. */
export async function takeUse(db: Queries, id: string): Promise<boolean> {
  const row = await tables(db)
    .updateTable('identity_token')
    .set((e) => ({ uses: e('uses', '+', 1) }))
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .where((e) => e(e('uses', '+', e.ref('reserved_uses')), '<', e.ref('max_uses')))
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

/** Takes `count` uses out of a bounded token for a child or a successor; the caller holds its row. */
export async function reserveUses(trx: TransactionQueries, id: string, count: number): Promise<void> {
  await tables(trx)
    .updateTable('identity_token')
    .set((e) => ({ reserved_uses: e('reserved_uses', '+', count) }))
    .where('id', '=', id)
    .execute();
}

/** The last use outside of its purpose, and how many there were so far. */
export interface TokenFlag {
  readonly action: string;
  readonly at: Date;
  readonly times: number;
}

export async function addFlag(db: Queries, token: string, flag: TokenFlag): Promise<void> {
  await tables(db)
    .insertInto('identity_token_flag')
    .values({ token, ...flag })
    .onConflict((c) =>
      c.column('token').doUpdateSet((e) => ({
        action: flag.action,
        at: flag.at,
        times: e('identity_token_flag.times', '+', flag.times),
      })),
    )
    .execute();
}

export async function flagsOf(db: Queries, tokens: readonly string[]): Promise<ReadonlyMap<string, TokenFlag>> {
  if (tokens.length === 0) return new Map();
  const rows = await tables(db).selectFrom('identity_token_flag').selectAll().where('token', 'in', tokens).execute();
  return new Map(rows.map(({ token, action, at, times }) => [token, { action, at, times }]));
}
