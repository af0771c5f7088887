/** The revocation epoch: one row that every replica reads several times a second, moved by whatever makes a cached bearer untrue. */
import type { Queries, TransactionQueries } from '../database/index.ts';
import { identityTables as tables } from './tables-store.ts';

/** What every replica reads several times a second: the epoch that empties its caches, and whether the facility is locked down. */
export interface Epoch {
  readonly value: number;
  readonly lockdownAt: Date | null;
}

export async function readEpoch(db: Queries): Promise<Epoch> {
  const row = await tables(db).selectFrom('identity_epoch').select(['value', 'lockdown_at']).executeTakeFirstOrThrow();
  return { value: row.value, lockdownAt: row.lockdown_at };
}

/** Makes every replica forget what it knows of bearers within one reading; in the transaction that changed them. */
export async function moveEpoch(trx: TransactionQueries): Promise<void> {
  await tables(trx)
    .updateTable('identity_epoch')
    .set((e) => ({ value: e('value', '+', 1) }))
    .execute();
}
