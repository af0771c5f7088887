/**
 * Deletes events that are old and that every living consumer has handled, and forgets consumers that have not been seen
 * for long. To be called now and then (hourly) by one process or many. Owns no state.
 */
import { sql } from 'kysely';
import type { Database } from '../connect.ts';
import { transaction } from '../transaction.ts';

export interface PruneOptions {
  /** Events younger than this are kept for readers without a durable position, in milliseconds. */
  readonly keepMs: number;
  /** A consumer not seen for this long no longer holds events back and begins anew if it returns, in milliseconds. */
  readonly forgetConsumersAfterMs: number;
}

export interface PruneResult {
  readonly deletedEvents: number;
  readonly forgottenConsumers: readonly string[];
}

export async function pruneOutbox(database: Database, options: PruneOptions): Promise<PruneResult> {
  const { keepMs, forgetConsumersAfterMs } = options;
  return transaction(database.kysely, async (trx) => {
    const forgotten = await sql<{ name: string }>`
      delete from outbox_consumer
      where seen_at < clock_timestamp() - ${forgetConsumersAfterMs} * interval '1 millisecond' returning name`.execute(
      trx,
    );
    const deleted = await sql`
      delete from outbox_event
      where emitted_at < clock_timestamp() - ${keepMs} * interval '1 millisecond'
        and position <= (select coalesce(min(position), ${Number.MAX_SAFE_INTEGER}::bigint) from outbox_consumer)`.execute(
      trx,
    );
    return {
      deletedEvents: Number(deleted.numAffectedRows ?? 0n),
      forgottenConsumers: forgotten.rows.map((r) => r.name),
    };
  });
}
