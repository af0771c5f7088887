/** SQL of what a second factor does to sessions: one is stepped up, or all of a person's lose what they had. Both move the epoch, so that every replica sees it. */
import { sql } from 'kysely';
import type { TransactionQueries } from '../../database/index.ts';
import { moveEpoch } from '../epoch-store.ts';
import type { FactorMethod } from './factor.ts';
import { factorTables } from './factor-tables-store.ts';

/** False where the session has ended. */
export async function markStepUp(
  trx: TransactionQueries,
  shown: { readonly session: string; readonly method: FactorMethod; readonly at: Date },
): Promise<boolean> {
  const { numUpdatedRows } = await factorTables(trx)
    .updateTable('identity_token')
    .set({
      factor_at: shown.at,
      methods: sql`case when ${shown.method} = any(methods) then methods else array_append(methods, ${shown.method}) end`,
    })
    .where('id', '=', shown.session)
    .where('kind', '=', 'session')
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  if (numUpdatedRows !== 1n) return false;
  await moveEpoch(trx);
  return true;
}

/** Of every session of the person, and what they have begun. */
export async function forgetStepUps(trx: TransactionQueries, subject: string): Promise<void> {
  const tables = factorTables(trx);
  await tables
    .deleteFrom('identity_factor_ceremony')
    .where('session', 'in', (e) => e.selectFrom('identity_token').select('id').where('subject', '=', subject))
    .execute();
  await tables
    .updateTable('identity_token')
    .set({ factor_at: null })
    .where('subject', '=', subject)
    .where('kind', '=', 'session')
    .execute();
  await moveEpoch(trx);
}
