/**
 * SQL of the buckets that replicas share. The table is unlogged: a crash of PostgreSQL empties it, and a bucket without a row is full, so at
 * worst each key gets one more burst; in exchange a lease costs no flush to disk. The database's clock is the only one that counts.
 */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../../database/index.ts';
import type { BucketSource } from './bucket-source.ts';

export const rateBucketMigrations: Record<string, RoomMigration> = {
  '001-rate-buckets': {
    async up(db: Kysely<never>): Promise<void> {
      // Half-filled pages: every lease rewrites its row, in place where there is room.
      await sql`create unlogged table policy_rate_bucket (
        key text primary key,
        tokens float8 not null,
        at timestamptz not null,
        per_second float8 not null,
        burst float8 not null,
        granted float8 not null
      ) with (fillfactor = 50)`.execute(db);
    },
  },
};

/** `now` is for tests with a clock of their own; absent: the database's. */
export function databaseSource(db: Queries, now?: () => Date): BucketSource {
  return {
    async exchange(asks) {
      const column = <T>(of: (ask: (typeof asks)[number]) => T): T[] => asks.map(of);
      // `granted` of the proposed row is what is wanted; of the row that comes back, what was given. Ordered by key: two replicas never
      // wait for each other in a ring.
      const { rows } = await sql<{ key: string; granted: number; left: number }>`
        insert into policy_rate_bucket as b (key, tokens, at, per_second, burst, granted)
        select key, least(burst, burst - least(want, floor(burst))), coalesce(${now?.() ?? null}::timestamptz, clock_timestamp()),
          per_second, burst, least(want, floor(burst))
        from unnest(
          ${column((a) => a.key)}::text[], ${column((a) => a.want)}::float8[],
          ${column((a) => a.rate.perSecond)}::float8[], ${column((a) => a.rate.burst)}::float8[]
        ) as ask (key, want, per_second, burst)
        order by key
        on conflict (key) do update set (tokens, at, per_second, burst, granted) = (
          select least(excluded.burst, has - gives), greatest(b.at, excluded.at), excluded.per_second, excluded.burst, gives
          from (select least(excluded.burst,
            b.tokens + greatest(0, extract(epoch from excluded.at - b.at)) * excluded.per_second) as has) filled,
          lateral (select least(excluded.granted, floor(has + 1e-9)) as gives) given
        )
        returning key, granted, tokens as left`.execute(db);
      return rows;
    },
  };
}

/** Forgets buckets that are full again by now: a schema rule bounds how long one takes to fill. */
export async function pruneRateBuckets(db: Queries): Promise<void> {
  await sql`delete from policy_rate_bucket where key in (
    select key from policy_rate_bucket where at < clock_timestamp() - interval '1 hour' order by key for update skip locked)`.execute(
    db,
  );
}
