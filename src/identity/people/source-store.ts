/** SQL of the sources' own state: when each was last read, by whom it is being read, what came of it. One row a source of people.yaml. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../../database/index.ts';

type SourceTable = {
  name: string;
  /** Another replica leaves it alone until then. */
  held_until: Date | null;
  tried_at: Date | null;
  done_at: Date | null;
  /** Why the last try failed; null: it did not. */
  failure: string | null;
  /** JSON of countsOf, of the last try that did not fail. */
  counts: string | null;
};

type SourceTables = { identity_source: SourceTable };

export const sourceMigrations: Record<string, RoomMigration> = {
  '041-source': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_source')
        .addColumn('name', 'text', (c) => c.primaryKey())
        .addColumn('held_until', 'timestamptz')
        .addColumn('tried_at', 'timestamptz')
        .addColumn('done_at', 'timestamptz')
        .addColumn('failure', 'text')
        .addColumn('counts', 'text')
        .execute();
    },
  },
};

const tables = (db: Queries) => db.withTables<SourceTables>();

export interface SourceState {
  readonly name: string;
  readonly triedAt: Date | null;
  readonly doneAt: Date | null;
  readonly failure: string | null;
  readonly counts: Readonly<Record<string, number>> | null;
}

export async function sourceStates(db: Queries): Promise<ReadonlyMap<string, SourceState>> {
  const rows = await tables(db).selectFrom('identity_source').selectAll().execute();
  return new Map(
    rows.map((r) => [
      r.name,
      {
        name: r.name,
        triedAt: r.tried_at,
        doneAt: r.done_at,
        failure: r.failure,
        counts: r.counts === null ? null : (JSON.parse(r.counts) as Record<string, number>),
      },
    ]),
  );
}

/** True for one replica alone: where the source was last tried before `dueBefore`, and nobody holds it. Holds it until `until`. */
export async function holdSource(
  db: Queries,
  source: { readonly name: string; readonly at: Date; readonly dueBefore: Date; readonly until: Date },
): Promise<boolean> {
  const { name, at, dueBefore, until } = source;
  const { rows } = await sql`
    insert into identity_source as s (name, held_until, tried_at) values (${name}, ${until}, ${at})
    on conflict (name) do update set held_until = excluded.held_until, tried_at = excluded.tried_at
      where (s.held_until is null or s.held_until <= ${at}) and (s.tried_at is null or s.tried_at <= ${dueBefore})
    returning name`.execute(db);
  return rows.length > 0;
}

/** Writes what came of a try, and lets the source go. */
export async function recordTry(
  db: Queries,
  of: { readonly name: string; readonly at: Date },
  outcome: { readonly counts: Readonly<Record<string, number>> } | { readonly failure: string },
): Promise<void> {
  const values =
    'failure' in outcome
      ? { held_until: null, tried_at: of.at, failure: outcome.failure }
      : { held_until: null, tried_at: of.at, done_at: of.at, failure: null, counts: JSON.stringify(outcome.counts) };
  await tables(db)
    .insertInto('identity_source')
    .values({ name: of.name, done_at: null, counts: null, ...values })
    .onConflict((c) => c.column('name').doUpdateSet(values))
    .execute();
}
