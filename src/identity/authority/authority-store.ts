/** The SQL of our own certificate authority: its certificate, and its private key sealed under a key that is not in the database. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration, TransactionQueries } from '../../database/index.ts';
import type { Sealed } from '../second-factor/seal-secret.ts';

type AuthorityRow = { id: string; certificate: string; sealed: Buffer; seal_key: string; created_at: Date };

export interface StoredAuthority {
  readonly id: string;
  readonly certificatePem: string;
  readonly sealed: Sealed;
  readonly createdAt: Date;
}

export const authorityMigrations: Record<string, RoomMigration> = {
  '050-authority': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_authority')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('certificate', 'text', (c) => c.notNull())
        .addColumn('sealed', 'bytea', (c) => c.notNull())
        .addColumn('seal_key', 'text', (c) => c.notNull())
        .addColumn('created_at', 'timestamptz', (c) => c.notNull())
        .execute();
    },
  },
};

/** Any number that no other room locks. */
const LOCK = 30_050;

const tables = (db: Queries) => db.withTables<{ identity_authority: AuthorityRow }>();

/** The newest. */
export async function storedAuthority(db: Queries): Promise<StoredAuthority | undefined> {
  const row = await tables(db)
    .selectFrom('identity_authority')
    .selectAll()
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { id, certificate: certificatePem, sealed: bytes, seal_key: keyId, created_at: createdAt } = row;
  return { id, certificatePem, sealed: { keyId, bytes }, createdAt };
}

/** One replica makes it; held to the end of the transaction. */
export async function lockAuthority(trx: TransactionQueries): Promise<void> {
  await sql`select pg_advisory_xact_lock(${LOCK})`.execute(trx);
}

export async function insertAuthority(trx: TransactionQueries, authority: StoredAuthority): Promise<void> {
  const { id, certificatePem: certificate, sealed, createdAt } = authority;
  await tables(trx)
    .insertInto('identity_authority')
    .values({ id, certificate, sealed: sealed.bytes, seal_key: sealed.keyId, created_at: createdAt })
    .execute();
}
