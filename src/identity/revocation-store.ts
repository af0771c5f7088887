/** What a revocation takes, and how it is taken: the token and all that stands or falls with it, in one transaction with the epoch. */
import { sql } from 'kysely';
import { type Queries, type TransactionQueries, transaction } from '../database/index.ts';
import { moveEpoch } from './epoch-store.ts';
import { tokenById, tokenFrom } from './store.ts';
import { identityTables as tables } from './tables-store.ts';
import type { Token } from './token.ts';

/**
 * What a revocation of `id` takes: the token, all that was delegated from it, and the values that replaced it or that it replaced (one token in
 * several values is one token). Parents before children.
 */
export async function tokenSubtree(db: Queries, id: string): Promise<readonly Token[]> {
  const { rows } = await sql<{ id: string }>`
    with recursive lineage(id, replaces) as (
      select id, replaces from identity_token where id = ${id}
      union
      select t.id, t.replaces from identity_token t
        join lineage l on t.parent = l.id or t.replaces = l.id or t.id = l.replaces
    ) select id from lineage`.execute(db);
  if (rows.length === 0) return [];
  const ids = rows.map((r) => r.id);
  const found = await tables(db)
    .selectFrom('identity_token')
    .selectAll()
    .where('id', 'in', ids)
    .orderBy('depth')
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return found.map(tokenFrom);
}

/**
 * Marks the bearer and everything delegated from it revoked, and moves the epoch, in one transaction, with `alongside` (the outbox row of
 * each) in the same one. Resolves to the token as it now is, or undefined where there is none. A second revocation changes nothing.
 */
export function revokeTokenRow(
  db: Queries,
  revocation: Revocation,
  alongside: (trx: TransactionQueries, token: Token) => Promise<void>,
): Promise<Token | undefined> {
  return transaction(db, (trx) => revokeTokenRowIn(trx, revocation, alongside));
}

export interface Revocation {
  readonly id: string;
  readonly at: Date;
  readonly by: string;
}

/** The same within a transaction that changes more than that. */
export async function revokeTokenRowIn(
  trx: TransactionQueries,
  revocation: Revocation,
  alongside: (trx: TransactionQueries, token: Token) => Promise<void>,
): Promise<Token | undefined> {
  let any = false;
  for (;;) {
    // A child delegated meanwhile is seen by the next pass: whoever delegates holds the parent's row, and then finds it revoked.
    const ids = (await tokenSubtree(trx, revocation.id)).filter((t) => t.revokedAt === null).map((t) => t.id);
    if (ids.length === 0) break;
    // One order for everybody who takes more than one row: whoever delegates, renews or rotates takes the parent's first.
    await tables(trx)
      .selectFrom('identity_token')
      .select('id')
      .where('id', 'in', ids)
      .orderBy('depth')
      .orderBy('created_at')
      .orderBy('id')
      .forUpdate()
      .execute();
    const changed = await tables(trx)
      .updateTable('identity_token')
      .set({ revoked_at: revocation.at, revoked_by: revocation.by })
      .where('id', 'in', ids)
      .where('revoked_at', 'is', null)
      .returningAll()
      .execute();
    for (const row of changed) await alongside(trx, tokenFrom(row));
    any = true;
  }
  if (any) await moveEpoch(trx);
  return tokenById(trx, revocation.id);
}
