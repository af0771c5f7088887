/**
 * Answers by Idempotency-Key, keyed by project and operation so that a rotated token may retry (architecture.md 2). A key is claimed
 * before the use case runs and completed after it; a claim whose holder died is taken over after its lease. The use
 * cases themselves are safe to repeat with the same key, so a take-over repeats no effect.
 */
import { createHash } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../database/index.ts';

type IdempotencyTables = {
  api_idempotency: {
    claim: string;
    request_digest: string;
    claimed_at: Date;
    status: number | null;
    body: string | null;
  };
};

export const apiMigrations: Record<string, RoomMigration> = {
  '001-idempotency': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('api_idempotency')
        .addColumn('claim', 'text', (c) => c.primaryKey())
        .addColumn('request_digest', 'text', (c) => c.notNull())
        .addColumn('claimed_at', 'timestamptz', (c) => c.notNull())
        .addColumn('status', 'integer')
        .addColumn('body', 'text')
        .execute();
      await sql`create index api_idempotency_age on api_idempotency (claimed_at)`.execute(db);
    },
  },
};

/** A claim not completed for so long is taken to be of a replica that died. */
const LEASE_MS = 30_000;
const KEEP_MS = 7 * 86_400_000;

export type Claim =
  | { readonly kind: 'claimed' }
  | { readonly kind: 'answered'; readonly status: number; readonly body: unknown }
  | { readonly kind: 'in-progress' }
  | { readonly kind: 'other-request' };

const tables = (db: Queries) => db.withTables<IdempotencyTables>();

/** The same key with another body, path or query is another request. */
export function requestDigest(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

export async function claimKey(
  db: Queries,
  claim: string,
  request: { readonly digest: string; readonly at: Date },
): Promise<Claim> {
  const inserted = await tables(db)
    .insertInto('api_idempotency')
    .values({ claim, request_digest: request.digest, claimed_at: request.at, status: null, body: null })
    .onConflict((c) => c.column('claim').doNothing())
    .returning('claim')
    .executeTakeFirst();
  if (inserted !== undefined) return { kind: 'claimed' };
  const row = await tables(db).selectFrom('api_idempotency').selectAll().where('claim', '=', claim).executeTakeFirst();
  if (row === undefined) return { kind: 'in-progress' }; // pruned or given up between the two statements
  if (row.request_digest !== request.digest) return { kind: 'other-request' };
  if (row.status !== null) return { kind: 'answered', status: row.status, body: JSON.parse(row.body ?? 'null') };
  const stale = new Date(request.at.getTime() - LEASE_MS);
  const taken = await tables(db)
    .updateTable('api_idempotency')
    .set({ claimed_at: request.at })
    .where('claim', '=', claim)
    .where('status', 'is', null)
    .where('claimed_at', '<', stale)
    .returning('claim')
    .executeTakeFirst();
  return taken === undefined ? { kind: 'in-progress' } : { kind: 'claimed' };
}

export async function completeClaim(
  db: Queries,
  claim: string,
  answer: { readonly status: number; readonly body: unknown },
): Promise<void> {
  await tables(db)
    .updateTable('api_idempotency')
    .set({ status: answer.status, body: JSON.stringify(answer.body) })
    .where('claim', '=', claim)
    .execute();
}

/** After a failure the key is free again: the client is meant to repeat. */
export async function abandonClaim(db: Queries, claim: string): Promise<void> {
  await tables(db).deleteFrom('api_idempotency').where('claim', '=', claim).where('status', 'is', null).execute();
}

export async function pruneClaims(db: Queries, now: Date): Promise<void> {
  await tables(db)
    .deleteFrom('api_idempotency')
    .where('claimed_at', '<', new Date(now.getTime() - KEEP_MS))
    .execute();
}
