/** SQL of imported people: persons, projects, memberships, allocations, each row of one source; the sources' own state; the epoch that tells replicas of a change. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration, TransactionQueries } from '../../database/index.ts';
import type { MembershipRow, PersonRow } from './membership.ts';
import type { Allocation, FacilityRole, Facts, ImportedProject, Membership, Person, ProjectRole } from './person.ts';

/** The source of `up --dev`'s accounts; no file may list it. */
export const DEV_SOURCE = 'dev';

/** Of every imported row: whose it is, since when, and when its source stopped listing it. */
type SourceColumns = { source: string; since: Date; ended_at: Date | null };
type PersonTable = SourceColumns & {
  subject: string;
  name: string;
  mail: string | null;
  state: 'active' | 'disabled';
  roles: string[];
  changed_at: Date;
};
type ProjectTable = SourceColumns & {
  name: string;
  title: string;
  environments: string[] | null;
  tiers: string[] | null;
  streams: number | null;
  queued_jobs: number | null;
};
type MembershipTable = SourceColumns & { project: string; subject: string; role: ProjectRole; until: Date | null };
type AllocationTable = SourceColumns & {
  key: string;
  project: string;
  cluster: string;
  node_hours: number;
  starts_at: Date | null;
  ends_at: Date | null;
};

export type PeopleTables = {
  identity_person: PersonTable;
  identity_project: ProjectTable;
  identity_membership: MembershipTable;
  identity_allocation: AllocationTable;
  identity_people_epoch: { only_row: boolean; value: number };
};

export const peopleMigrations: Record<string, RoomMigration> = {
  '040-people': {
    async up(db: Kysely<never>): Promise<void> {
      const ofSource = (table: string) =>
        db.schema
          .createTable(table)
          .addColumn('source', 'text', (c) => c.notNull())
          .addColumn('since', 'timestamptz', (c) => c.notNull())
          .addColumn('ended_at', 'timestamptz');
      await ofSource('identity_person')
        .addColumn('subject', 'text', (c) => c.notNull())
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('mail', 'text')
        .addColumn('state', 'text', (c) => c.notNull().check(sql`state in ('active', 'disabled')`))
        .addColumn('roles', sql`text[]`, (c) => c.notNull())
        .addColumn('changed_at', 'timestamptz', (c) => c.notNull())
        .addPrimaryKeyConstraint('identity_person_key', ['subject', 'source'])
        .execute();
      await ofSource('identity_project')
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('title', 'text', (c) => c.notNull())
        .addColumn('environments', sql`text[]`)
        .addColumn('tiers', sql`text[]`)
        .addColumn('streams', 'integer')
        .addColumn('queued_jobs', 'integer')
        .addPrimaryKeyConstraint('identity_project_key', ['name', 'source'])
        .execute();
      await ofSource('identity_membership')
        .addColumn('project', 'text', (c) => c.notNull())
        .addColumn('subject', 'text', (c) => c.notNull())
        .addColumn('role', 'text', (c) => c.notNull().check(sql`role in ('member', 'project-lead')`))
        .addColumn('until', 'timestamptz')
        .addPrimaryKeyConstraint('identity_membership_key', ['subject', 'project', 'source'])
        .execute();
      await db.schema.createIndex('identity_membership_project').on('identity_membership').column('project').execute();
      await ofSource('identity_allocation')
        .addColumn('key', 'text', (c) => c.notNull())
        .addColumn('project', 'text', (c) => c.notNull())
        .addColumn('cluster', 'text', (c) => c.notNull())
        .addColumn('node_hours', 'double precision', (c) => c.notNull().check(sql`node_hours >= 0`))
        .addColumn('starts_at', 'timestamptz')
        .addColumn('ends_at', 'timestamptz')
        .addPrimaryKeyConstraint('identity_allocation_key', ['key', 'source'])
        .execute();
      await db.schema
        .createTable('identity_people_epoch')
        .addColumn('only_row', 'boolean', (c) => c.primaryKey().check(sql`only_row`))
        .addColumn('value', 'bigint', (c) => c.notNull())
        .execute();
      await sql`insert into identity_people_epoch (only_row, value) values (true, 1)`.execute(db);
    },
  },
};

const tables = (db: Queries) => db.withTables<PeopleTables>();

const iso = (at: Date | null): string | null => at?.toISOString() ?? null;
const date = (text: string | null): Date | null => (text === null ? null : new Date(text));

const personOf = (r: PersonTable): Person => ({
  subject: r.subject,
  name: r.name,
  mail: r.mail,
  state: r.state,
  roles: r.roles as FacilityRole[],
});
const projectOf = (r: ProjectTable): ImportedProject => ({
  name: r.name,
  title: r.title,
  environments: r.environments,
  tiers: r.tiers,
  streams: r.streams,
  queuedJobs: r.queued_jobs,
});
const membershipOf = (r: MembershipTable): Membership => ({
  project: r.project,
  subject: r.subject,
  role: r.role,
  until: iso(r.until),
});
const allocationOf = (r: AllocationTable): Allocation => ({
  project: r.project,
  cluster: r.cluster,
  nodeHours: r.node_hours,
  from: iso(r.starts_at),
  to: iso(r.ends_at),
});

/** Whoever applies an import, or ends what is due, takes turns until the end of the transaction. */
export async function holdPeople(trx: TransactionQueries): Promise<void> {
  await tables(trx).selectFrom('identity_people_epoch').select('value').forUpdate().executeTakeFirstOrThrow();
}

/** What a source lists now, as last applied. */
export async function factsOf(db: Queries, source: string): Promise<Facts> {
  const t = tables(db);
  const persons = await t
    .selectFrom('identity_person')
    .selectAll()
    .where('source', '=', source)
    .where('ended_at', 'is', null)
    .execute();
  const projects = await t
    .selectFrom('identity_project')
    .selectAll()
    .where('source', '=', source)
    .where('ended_at', 'is', null)
    .execute();
  const memberships = await t
    .selectFrom('identity_membership')
    .selectAll()
    .where('source', '=', source)
    .where('ended_at', 'is', null)
    .execute();
  const allocations = await t
    .selectFrom('identity_allocation')
    .selectAll()
    .where('source', '=', source)
    .where('ended_at', 'is', null)
    .execute();
  return {
    persons: persons.map(personOf),
    projects: projects.map(projectOf),
    memberships: memberships.map(membershipOf),
    allocations: allocations.map(allocationOf),
  };
}

/** Rows of all sources that decide who holds what. */
export interface AllRows {
  readonly persons: readonly (PersonRow & {
    readonly source: string;
    readonly name: string;
    readonly mail: string | null;
  })[];
  /** Those that have not ended. */
  readonly memberships: readonly (MembershipRow & { readonly source: string })[];
  readonly projects: readonly (ImportedProject & { readonly source: string })[];
}

export async function allRows(db: Queries): Promise<AllRows> {
  const t = tables(db);
  const persons = await t.selectFrom('identity_person').selectAll().orderBy('subject').orderBy('source').execute();
  const memberships = await t.selectFrom('identity_membership').selectAll().where('ended_at', 'is', null).execute();
  const projects = await t.selectFrom('identity_project').selectAll().where('ended_at', 'is', null).execute();
  return {
    persons: persons.map((r) => ({ ...personOf(r), source: r.source, ended: r.ended_at !== null })),
    memberships,
    projects: projects.map((r) => ({ ...projectOf(r), source: r.source })),
  };
}

/**
 * The rows of one person, in all sources, and the memberships that have not ended. Accounts of an earlier `up --dev` are as if they had never been: a real
 * person may bear the same name.
 */
export async function rowsOfPerson(
  db: Queries,
  subject: string,
): Promise<{ readonly persons: readonly PersonRow[]; readonly memberships: readonly MembershipRow[] }> {
  const { rows } = await sql<{ kind: 'person' | 'membership'; a: string; b: string[]; c: Date | null }>`
    select 'person' as kind, state as a, roles as b, ended_at as c from identity_person where subject = ${subject} and not (source = ${DEV_SOURCE} and ended_at is not null)
    union all
    select 'membership', project, array[role], until from identity_membership where subject = ${subject} and ended_at is null`.execute(
    db,
  );
  return {
    persons: rows
      .filter((r) => r.kind === 'person')
      .map((r) => ({
        subject,
        state: r.a === 'active' ? 'active' : 'disabled',
        roles: r.b as FacilityRole[],
        ended: r.c !== null,
      })),
    memberships: rows
      .filter((r) => r.kind === 'membership')
      .map((r) => ({ subject, project: r.a, role: r.b[0] === 'project-lead' ? 'project-lead' : 'member', until: r.c })),
  };
}

export interface SourceFact {
  readonly source: string;
  readonly at: Date;
}

export async function savePerson(trx: TransactionQueries, of: SourceFact, p: Person): Promise<void> {
  const values = { name: p.name, mail: p.mail, state: p.state, roles: [...p.roles], changed_at: of.at, ended_at: null };
  await tables(trx)
    .insertInto('identity_person')
    .values({ source: of.source, since: of.at, subject: p.subject, ...values })
    .onConflict((c) => c.columns(['subject', 'source']).doUpdateSet(values))
    .execute();
}

export async function saveProject(trx: TransactionQueries, of: SourceFact, p: ImportedProject): Promise<void> {
  const values = {
    title: p.title,
    environments: p.environments === null ? null : [...p.environments],
    tiers: p.tiers === null ? null : [...p.tiers],
    streams: p.streams,
    queued_jobs: p.queuedJobs,
    ended_at: null,
  };
  await tables(trx)
    .insertInto('identity_project')
    .values({ source: of.source, since: of.at, name: p.name, ...values })
    .onConflict((c) => c.columns(['name', 'source']).doUpdateSet(values))
    .execute();
}

export async function saveMembership(trx: TransactionQueries, of: SourceFact, m: Membership): Promise<void> {
  const values = { role: m.role, until: date(m.until), ended_at: null };
  await tables(trx)
    .insertInto('identity_membership')
    .values({ source: of.source, since: of.at, project: m.project, subject: m.subject, ...values })
    .onConflict((c) => c.columns(['subject', 'project', 'source']).doUpdateSet(values))
    .execute();
}

export async function saveAllocation(
  trx: TransactionQueries,
  of: SourceFact & { readonly key: string },
  a: Allocation,
): Promise<void> {
  const { project, cluster } = a;
  const values = { node_hours: a.nodeHours, starts_at: date(a.from), ends_at: date(a.to), ended_at: null };
  await tables(trx)
    .insertInto('identity_allocation')
    .values({ source: of.source, since: of.at, key: of.key, project, cluster, ...values })
    .onConflict((c) => c.columns(['key', 'source']).doUpdateSet(values))
    .execute();
}

/** Marks rows of a source as no longer listed; keys as KEY_OF gives them. */
export async function endRows(
  trx: TransactionQueries,
  of: SourceFact,
  ended: { readonly kind: keyof Facts; readonly keys: readonly string[] },
): Promise<void> {
  const [table, key] = ENDING[ended.kind];
  await sql`update ${sql.table(table)} set ended_at = ${of.at}
    where source = ${of.source} and ended_at is null and ${key} = any(${sql.val([...ended.keys])}::text[])`.execute(
    trx,
  );
}

const ENDING = {
  persons: ['identity_person', sql`subject`],
  projects: ['identity_project', sql`name`],
  memberships: ['identity_membership', sql`project || '/' || subject`],
  allocations: ['identity_allocation', sql`key`],
} as const;

/** Ends the memberships whose date has passed; how many there were. */
export async function endDueMemberships(trx: TransactionQueries, at: Date): Promise<number> {
  const result = await tables(trx)
    .updateTable('identity_membership')
    .set({ ended_at: at })
    .where('until', '<=', at)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}

/** Is there a membership to end? Asked often, answered without a lock. */
export async function anyMembershipDue(db: Queries, at: Date): Promise<boolean> {
  const row = await tables(db)
    .selectFrom('identity_membership')
    .select('subject')
    .where('until', '<=', at)
    .where('ended_at', 'is', null)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

export async function readPeopleEpoch(db: Queries): Promise<number> {
  return (await tables(db).selectFrom('identity_people_epoch').select('value').executeTakeFirstOrThrow()).value;
}

/** Makes every replica read the imported projects anew. */
export async function movePeopleEpoch(trx: TransactionQueries): Promise<void> {
  await tables(trx)
    .updateTable('identity_people_epoch')
    .set((e) => ({ value: e('value', '+', 1) }))
    .execute();
}

export interface AllocationRow extends Allocation {
  readonly source: string;
}

/** Of all sources, not ended; of one project where named. */
export async function allocationRows(db: Queries, project?: string): Promise<readonly AllocationRow[]> {
  let query = tables(db).selectFrom('identity_allocation').selectAll().where('ended_at', 'is', null);
  if (project !== undefined) query = query.where('project', '=', project);
  const rows = await query.orderBy('project').orderBy('cluster').orderBy('key').orderBy('source').execute();
  return rows.map((r) => ({ ...allocationOf(r), source: r.source }));
}
