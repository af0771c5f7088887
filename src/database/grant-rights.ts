/**
 * What the application's role may do in the tables of the owner: everything with rows, but only select and insert in
 * append-only ones, and only select in the list of migrations. Where one role is both owner and application (an external
 * server with one role) there is nothing to grant. Owns no state.
 */
import { type Kysely, sql } from 'kysely';

interface OwnedRelation {
  readonly schema: string;
  readonly name: string;
  readonly kind: 'table' | 'sequence';
  /** What the role may do now, such as `SELECT,INSERT`. */
  readonly rights: string;
}

const TABLE_RIGHTS = ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'] as const;
const SEQUENCE_RIGHTS = ['USAGE', 'SELECT', 'UPDATE'] as const;

/**
 * Changes, in one transaction, only the rights that differ. Throws Error when an append-only table does not exist:
 * a misspelt one would stay writable.
 */
export async function grantRights(session: Kysely<never>, role: string, appendOnly: readonly string[]): Promise<void> {
  await session.transaction().execute(async (trx) => {
    const closed = await withPartitions(trx, appendOnly);
    const asked = await sql<{ differs: boolean }>`
      select current_user <> ${role} and exists (select from pg_roles where rolname = ${role}) as differs`.execute(trx);
    if (asked.rows[0]?.differs !== true) return;
    const relations = await ownedRelations(trx, role);
    const to = sql.id(role);
    for (const schema of new Set(relations.map((r) => r.schema)))
      await sql`grant usage on schema ${sql.id(schema)} to ${to}`.execute(trx);
    for (const relation of relations) {
      const wanted = wantedRights(relation, closed);
      if (relation.rights === wanted) continue;
      const on = sql`${sql.raw(relation.kind)} ${sql.id(relation.schema, relation.name)}`;
      await sql`revoke all on ${on} from ${to}`.execute(trx);
      await sql`grant ${sql.raw(wanted)} on ${on} to ${to}`.execute(trx);
    }
  });
}

function wantedRights(relation: OwnedRelation, closed: ReadonlySet<string>): string {
  if (relation.kind === 'sequence') return 'USAGE,SELECT';
  if (relation.name === 'kysely_migration' || relation.name === 'kysely_migration_lock') return 'SELECT';
  return closed.has(`${relation.schema}.${relation.name}`) ? 'SELECT,INSERT' : 'SELECT,INSERT,UPDATE,DELETE';
}

async function ownedRelations(trx: Kysely<never>, role: string): Promise<readonly OwnedRelation[]> {
  const held = (kinds: readonly string[], test: string) =>
    sql`(select coalesce(string_agg(k, ',' order by o), '') from unnest(${sql.val(kinds)}::text[]) with ordinality as u(k, o)
      where ${sql.raw(test)}(${role}, c.oid, k))`;
  const found = await sql<OwnedRelation>`
    select n.nspname as schema, c.relname as name, case c.relkind when 'S' then 'sequence' else 'table' end as kind,
      case c.relkind when 'S' then ${held(SEQUENCE_RIGHTS, 'has_sequence_privilege')} else ${held(TABLE_RIGHTS, 'has_table_privilege')} end as rights
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relowner = (select oid from pg_roles where rolname = current_user)
      and c.relkind in ('r', 'p', 'v', 'm', 'S') and n.nspname !~ '^(pg_|information_schema$)'
    order by 1, 2`.execute(trx);
  return found.rows;
}

/** The named tables as `schema.name`, with all their partitions. */
async function withPartitions(trx: Kysely<never>, names: readonly string[]): Promise<ReadonlySet<string>> {
  const closed = new Set<string>();
  for (const name of names) {
    const found = await sql<{ qualified: string }>`
      with recursive family as (
        select to_regclass(${name})::oid as id where to_regclass(${name}) is not null
        union select i.inhrelid from pg_inherits i join family f on i.inhparent = f.id)
      select n.nspname || '.' || c.relname as qualified
      from family f join pg_class c on c.oid = f.id join pg_namespace n on n.oid = c.relnamespace`.execute(trx);
    if (found.rows.length === 0) throw new Error(`append-only table ${name} does not exist`);
    for (const row of found.rows) closed.add(row.qualified);
  }
  return closed;
}
