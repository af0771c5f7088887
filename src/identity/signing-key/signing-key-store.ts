/** The SQL of signing keys: the public half as it is published, the private half sealed under a key that is not in the database. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration, TransactionQueries } from '../../database/index.ts';
import type { Sealed } from '../second-factor/seal-secret.ts';
import type { PublicJwk, SigningKey } from './signing-key.ts';

type SigningKeyRow = {
  kid: string;
  x: string;
  sealed: Buffer;
  seal_key: string;
  created_at: Date;
  created_by: string;
  signs_from: Date;
};

type SigningKeyTables = { identity_signing_key: SigningKeyRow };

export interface StoredKey extends SigningKey {
  readonly sealed: Sealed;
  readonly createdBy: string;
}

export const signingKeyMigrations: Record<string, RoomMigration> = {
  '030-signing-key': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_signing_key')
        .addColumn('kid', 'text', (c) => c.primaryKey())
        .addColumn('x', 'text', (c) => c.notNull())
        .addColumn('sealed', 'bytea', (c) => c.notNull())
        .addColumn('seal_key', 'text', (c) => c.notNull())
        .addColumn('created_at', 'timestamptz', (c) => c.notNull())
        .addColumn('created_by', 'text', (c) => c.notNull())
        .addColumn('signs_from', 'timestamptz', (c) => c.notNull())
        .execute();
    },
  },
};

/** Any number that no other room locks. */
const LOCK = 30_030;

const tables = (db: Queries) => db.withTables<SigningKeyTables>();

export function publicJwk(kid: string, x: string): PublicJwk {
  return { kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'Ed25519', use: 'sig' };
}

export async function storedKeys(db: Queries): Promise<readonly StoredKey[]> {
  const rows = await tables(db).selectFrom('identity_signing_key').selectAll().orderBy('signs_from').execute();
  return rows.map((row) => ({
    kid: row.kid,
    publicJwk: publicJwk(row.kid, row.x),
    createdAt: row.created_at,
    createdBy: row.created_by,
    signsFrom: row.signs_from,
    sealed: { keyId: row.seal_key, bytes: row.sealed },
  }));
}

/** One replica turns the keys at a time; held to the end of the transaction. */
export async function lockKeys(trx: TransactionQueries): Promise<void> {
  await sql`select pg_advisory_xact_lock(${LOCK})`.execute(trx);
}

export async function insertKey(trx: TransactionQueries, key: StoredKey): Promise<void> {
  await tables(trx)
    .insertInto('identity_signing_key')
    .values({
      kid: key.kid,
      x: key.publicJwk.x,
      sealed: key.sealed.bytes,
      seal_key: key.sealed.keyId,
      created_at: key.createdAt,
      created_by: key.createdBy,
      signs_from: key.signsFrom,
    })
    .execute();
}

export async function deleteKeys(trx: TransactionQueries, kids: readonly string[]): Promise<void> {
  if (kids.length === 0) return;
  await tables(trx).deleteFrom('identity_signing_key').where('kid', 'in', kids).execute();
}
