/** How far the outbox is behind: events not yet in sequence, and what each durable consumer has still to handle. Owns no state. */
import { sql } from 'kysely';
import type { Queries } from '../queries.ts';

export interface OutboxBacklog {
  readonly pending: number;
  readonly consumers: readonly { readonly name: string; readonly behind: number }[];
}

export async function outboxBacklog(db: Queries): Promise<OutboxBacklog> {
  const pending = await sql<{ count: string }>`select count(*) as count from outbox_pending`.execute(db);
  const consumers = await sql<{ name: string; behind: string }>`
    select c.name, greatest(h.position - c.position, 0) as behind from outbox_consumer c, outbox_head h order by c.name`.execute(
    db,
  );
  return {
    pending: Number(pending.rows[0]?.count ?? 0),
    consumers: consumers.rows.map(({ name, behind }) => ({ name, behind: Number(behind) })),
  };
}
