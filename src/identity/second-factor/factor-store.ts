/** SQL of factors and recovery codes. What must happen once (a time step, a counter, a recovery code) is one conditional update, so that two replicas cannot both do it. */
import { sql } from 'kysely';
import type { Queries, TransactionQueries } from '../../database/index.ts';
import type { Factor } from './factor.ts';
import { type FactorRow, factorTables } from './factor-tables-store.ts';
import type { Sealed } from './seal-secret.ts';

export type NewFactor = Pick<FactorRow, 'id' | 'subject' | 'method' | 'name' | 'created_at'> & Partial<FactorRow>;

export async function factorRows(db: Queries, subject: string): Promise<readonly FactorRow[]> {
  return factorTables(db)
    .selectFrom('identity_factor')
    .selectAll()
    .where('subject', '=', subject)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

export async function credentialIsKnown(db: Queries, credential: string): Promise<boolean> {
  const row = await factorTables(db)
    .selectFrom('identity_factor')
    .select('id')
    .where('credential', '=', credential)
    .executeTakeFirst();
  return row !== undefined;
}

/** A person's factors as they are shown, oldest first. */
export async function factorsOf(db: Queries, subject: string): Promise<readonly Factor[]> {
  const rows = await factorTables(db)
    .selectFrom('identity_factor as f')
    .select(['f.id', 'f.method', 'f.name', 'f.created_at', 'f.last_used_at', 'f.backed_up'])
    .select((e) =>
      e
        .selectFrom('identity_recovery_code as c')
        .whereRef('c.factor', '=', 'f.id')
        .where('c.used_at', 'is', null)
        .select((c) => c.fn.countAll<number>().as('left'))
        .as('codes_left'),
    )
    .where('f.subject', '=', subject)
    .orderBy('f.created_at')
    .orderBy('f.id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    method: row.method,
    name: row.name,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    backedUp: row.backed_up,
    codesLeft: row.method === 'recovery-code' ? Number(row.codes_left ?? 0) : null,
  }));
}

/** Whoever changes a person's factors does it alone, until the transaction ends. */
export async function holdPerson(trx: TransactionQueries, subject: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`second-factor/${subject}`}, 0))`.execute(trx);
}

export async function insertFactor(trx: TransactionQueries, factor: NewFactor): Promise<void> {
  await factorTables(trx)
    .insertInto('identity_factor')
    .values({
      last_used_at: null,
      sealed: null,
      key_id: null,
      last_step: null,
      credential: null,
      public_key: null,
      counter: null,
      transports: [],
      backed_up: false,
      rp_id: null,
      salt: null,
      ...factor,
    })
    .execute();
}

export async function insertRecoveryCodes(
  trx: TransactionQueries,
  factor: string,
  digests: readonly Buffer[],
): Promise<void> {
  await factorTables(trx)
    .insertInto('identity_recovery_code')
    .values(digests.map((digest) => ({ factor, digest, used_at: null })))
    .execute();
}

/** False where a code of this step or a later one was accepted before. `resealed`: the secret under the present key. */
export async function acceptStep(
  db: Queries,
  use: { readonly factor: string; readonly step: number; readonly at: Date; readonly resealed: Sealed | undefined },
): Promise<boolean> {
  const fresh = use.resealed === undefined ? {} : { sealed: use.resealed.bytes, key_id: use.resealed.keyId };
  const { numUpdatedRows } = await factorTables(db)
    .updateTable('identity_factor')
    .set({ last_step: use.step, last_used_at: use.at, ...fresh })
    .where('id', '=', use.factor)
    .where('last_step', '<', use.step)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** False where the counter does not go forward: two authenticators hold this key. Those that do not count say 0 always (WebAuthn 6.1.1). */
export async function acceptCounter(
  db: Queries,
  use: { readonly factor: string; readonly counter: number; readonly backedUp: boolean; readonly at: Date },
): Promise<boolean> {
  const { numUpdatedRows } = await factorTables(db)
    .updateTable('identity_factor')
    .set({ counter: use.counter, backed_up: use.backedUp, last_used_at: use.at })
    .where('id', '=', use.factor)
    .where((e) =>
      e.or([e('counter', '<', use.counter), e.and([e('counter', '=', 0), e(e.val(use.counter), '=', e.lit(0))])]),
    )
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** False where there is no such code, or it was used. */
export async function acceptRecoveryCode(
  db: Queries,
  use: { readonly factor: string; readonly digest: Buffer; readonly at: Date },
): Promise<boolean> {
  const { numUpdatedRows } = await factorTables(db)
    .updateTable('identity_recovery_code')
    .set({ used_at: use.at })
    .where('factor', '=', use.factor)
    .where('digest', '=', use.digest)
    .where('used_at', 'is', null)
    .executeTakeFirst();
  if (numUpdatedRows !== 1n) return false;
  await factorTables(db)
    .updateTable('identity_factor')
    .set({ last_used_at: use.at })
    .where('id', '=', use.factor)
    .execute();
  return true;
}

/** Those deleted; recovery codes go with their set. */
export async function deleteFactors(
  trx: TransactionQueries,
  which: { readonly subject: string; readonly id?: string; readonly method?: FactorRow['method'] },
): Promise<readonly Pick<FactorRow, 'id' | 'method' | 'name'>[]> {
  let query = factorTables(trx).deleteFrom('identity_factor').where('subject', '=', which.subject);
  if (which.id !== undefined) query = query.where('id', '=', which.id);
  if (which.method !== undefined) query = query.where('method', '=', which.method);
  return query.returning(['id', 'method', 'name']).execute();
}
