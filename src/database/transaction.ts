/**
 * One transaction, begun again when it certainly left nothing behind: contention with another one, or a connection that
 * was lost before COMMIT was sent. A connection lost during COMMIT leaves the outcome unknown and is said so.
 * State: what the running transaction wants done once it is committed.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { IsolationLevel, Kysely, Transaction } from 'kysely';
import { hasWaited } from './connect.ts';
import { isAway, isContention } from './transient.ts';

/** The connection was lost while COMMIT was under way: the work may or may not have taken effect. Look, then decide. */
export class CommitUnknownError extends Error {
  override readonly name = 'CommitUnknownError';
}

export interface TransactionOptions {
  readonly isolation?: IsolationLevel;
  /** Runs at most this often; 4 unless told. */
  readonly attempts?: number;
}

/** Done once a transaction is committed, with the Kysely (not the transaction) to do it on. */
export type AfterCommit = (kysely: Kysely<never>) => void;

const afterCommit = new AsyncLocalStorage<Map<string, AfterCommit>>();

/**
 * Runs `action` once the surrounding `transaction()` is committed, one action per name; it must not throw.
 * False, and not run, outside of one. A crash in between loses it: only for what is done anyway a little later.
 */
export function onceCommitted(name: string, action: AfterCommit): boolean {
  const actions = afterCommit.getStore();
  actions?.set(name, action);
  return actions !== undefined;
}

/**
 * Runs `work` in a transaction and commits it; whatever `work` throws rolls back. `work` may run more than once, so it
 * touches nothing but `trx`. Throws CommitUnknownError, or the last error.
 */
export async function transaction<T, R>(
  kysely: Kysely<T>,
  work: (trx: Transaction<T>) => Promise<R>,
  options: TransactionOptions = {},
): Promise<R> {
  const { attempts = 4, isolation } = options;
  for (let attempt = 1; ; attempt++) {
    const actions = new Map<string, AfterCommit>();
    let committing = false;
    try {
      const builder = kysely.transaction();
      const isolated = isolation === undefined ? builder : builder.setIsolationLevel(isolation);
      const result = await isolated.execute(async (trx) => {
        const value = await afterCommit.run(actions, () => work(trx));
        committing = true;
        return value;
      });
      for (const action of actions.values()) action(kysely as unknown as Kysely<never>);
      return result;
    } catch (error) {
      if (committing && isAway(error))
        throw new CommitUnknownError('the connection was lost during COMMIT', { cause: error });
      const again = isContention(error) || (isAway(error) && !hasWaited(error));
      if (attempt >= attempts || !again) throw error;
    }
  }
}
