/**
 * Emits an event in the caller's transaction: it exists if and only if that transaction commits. Readers are woken after
 * the commit, not in it: NOTIFY inside a transaction makes all such commits queue behind one another, fsync included.
 * State: wake-ups that are under way.
 */
import { type Kysely, type QueryExecutorProvider, sql } from 'kysely';
import { onceCommitted } from '../transaction.ts';
import { OUTBOX_CHANNEL } from './outbox.ts';

export interface EmittedEvent {
  /** `room.what-happened`, such as `token.revoked`. */
  readonly topic: string;
  readonly key: string;
  /** Any JSON value; no secrets, since it is kept until pruned. */
  readonly payload: unknown;
}

/** A transaction of Kysely, whatever its tables. */
export type TransactionScope = QueryExecutorProvider & { readonly isTransaction: true };

/**
 * Emit after the change that the event tells of, in the same transaction: then events of one row are in the order of its
 * changes. Within `transaction()` readers are woken right after the commit, otherwise by a NOTIFY in the transaction.
 */
export async function emit(trx: TransactionScope, event: EmittedEvent): Promise<void> {
  const { topic, key, payload } = event;
  await sql`insert into outbox_pending (topic, key, payload) values (${topic}, ${key}, ${JSON.stringify(payload)}::jsonb)`.execute(
    trx,
  );
  if (!onceCommitted(`outbox ${topic}`, (kysely) => wakeReaders(kysely, topic))) await notify(trx, topic);
}

/** Topics for which a wake-up is on its way, and whether another one must follow, per Kysely. */
const underWay = new WeakMap<Kysely<never>, Map<string, boolean>>();

/** At most one NOTIFY per topic at a time; events emitted meanwhile share the next one. Failing is harmless: readers poll. */
function wakeReaders(kysely: Kysely<never>, topic: string): void {
  const topics = underWay.get(kysely) ?? new Map<string, boolean>();
  underWay.set(kysely, topics);
  if (topics.has(topic)) {
    topics.set(topic, true);
    return;
  }
  topics.set(topic, false);
  const settled = (): void => {
    const again = topics.get(topic) === true;
    topics.delete(topic);
    if (again) wakeReaders(kysely, topic);
  };
  notify(kysely, topic).then(settled, () => topics.delete(topic));
}

async function notify(executor: QueryExecutorProvider, topic: string): Promise<void> {
  await sql`select pg_notify(${OUTBOX_CHANNEL}, ${topic})`.execute(executor);
}
