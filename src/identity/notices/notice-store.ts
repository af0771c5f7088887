/** SQL of expiry notices: what ends soon, one row for each (thing, threshold, end) whichever replica finds it first, and who is to be told. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../../database/index.ts';
import type { Ending, Notice, NoticeKind } from './notice.ts';
import type { Addressee } from './notify.ts';

type NoticeTable = {
  id: string;
  kind: NoticeKind;
  thing: string;
  days: number;
  ends_at: Date;
  project: string | null;
  subjects: string[];
  text: string;
  at: Date;
  /** Who delivers it leaves it to others after that. */
  held_until: Date | null;
  delivered_at: Date | null;
};

type NoticeTables = { identity_notice: NoticeTable };

export const noticeMigrations: Record<string, RoomMigration> = {
  '042-notice': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('identity_notice')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('kind', 'text', (c) => c.notNull())
        .addColumn('thing', 'text', (c) => c.notNull())
        .addColumn('days', 'integer', (c) => c.notNull())
        .addColumn('ends_at', 'timestamptz', (c) => c.notNull())
        .addColumn('project', 'text')
        .addColumn('subjects', sql`text[]`, (c) => c.notNull())
        .addColumn('text', 'text', (c) => c.notNull())
        .addColumn('at', 'timestamptz', (c) => c.notNull())
        .addColumn('held_until', 'timestamptz')
        .addColumn('delivered_at', 'timestamptz')
        .addUniqueConstraint('one_notice_per_threshold', ['thing', 'days', 'ends_at'])
        .execute();
      await db.schema.createIndex('identity_notice_at').on('identity_notice').columns(['at', 'id']).execute();
    },
  },
};

const tables = (db: Queries) => db.withTables<NoticeTables>();
const DAY_MS = 86_400_000;

const noticeFrom = (r: NoticeTable): Notice => ({
  id: r.id,
  kind: r.kind,
  thing: r.thing,
  days: r.days,
  endsAt: r.ends_at,
  project: r.project,
  subjects: r.subjects,
  text: r.text,
  at: r.at,
  deliveredAt: r.delivered_at,
});

/** Everything that ends between the two times: tokens, allocations, memberships. Of a token that renews itself, the end of its renewal. */
export async function endingsBetween(db: Queries, from: Date, to: Date): Promise<readonly Ending[]> {
  const tokens = await sql<{
    id: string;
    project: string;
    subject: string;
    description: string;
    ends_at: Date;
    starts_at: Date;
  }>`
    select id, project, subject, description, not_before as starts_at, greatest(expires_at, coalesce(renewable_until, expires_at)) as ends_at
    from identity_token t where kind = 'token' and revoked_at is null
      and greatest(expires_at, coalesce(renewable_until, expires_at)) > ${from} and greatest(expires_at, coalesce(renewable_until, expires_at)) <= ${to}
      and not exists (select from identity_token next where next.replaces = t.id and next.revoked_at is null)`.execute(
    db,
  );
  const allocations = await sql<{
    key: string;
    project: string;
    cluster: string;
    starts_at: Date | null;
    ends_at: Date;
    leads: string[];
  }>`
    select key, a.project, cluster, starts_at, ends_at, array(select distinct subject from identity_membership m
        where m.project = a.project and m.role = 'project-lead' and m.ended_at is null order by subject) as leads
    from identity_allocation a where ended_at is null and ends_at > ${from} and ends_at <= ${to} order by key, a.source`.execute(
    db,
  );
  // Somebody whom another source keeps in the project does not leave it.
  const memberships = await sql<{ project: string; subject: string; since: Date; ends_at: Date }>`
    select project, subject, min(since) as since, max(until) as ends_at from identity_membership where ended_at is null
    group by project, subject having bool_and(until is not null) and max(until) > ${from} and max(until) <= ${to}`.execute(
    db,
  );
  const life = (start: Date | null, end: Date): number | null =>
    start === null ? null : (end.getTime() - start.getTime()) / DAY_MS;
  return [
    ...tokens.rows.map((t) => ({
      kind: 'token' as const,
      thing: `token/${t.id}`,
      project: t.project,
      subjects: [t.subject],
      endsAt: t.ends_at,
      lifeDays: life(t.starts_at, t.ends_at),
      words: t.description === '' ? `token ${t.id}` : `token ${t.id} (${t.description})`,
    })),
    ...allocations.rows.map((a) => ({
      kind: 'allocation' as const,
      thing: `allocation/${a.key}`,
      project: a.project,
      subjects: a.leads,
      endsAt: a.ends_at,
      lifeDays: life(a.starts_at, a.ends_at),
      words: `allocation on ${a.cluster}`,
    })),
    ...memberships.rows.map((m) => ({
      kind: 'membership' as const,
      thing: `membership/${m.project}/${m.subject}`,
      project: m.project,
      subjects: [m.subject],
      endsAt: m.ends_at,
      lifeDays: life(m.since, m.ends_at),
      words: `membership of ${m.subject}`,
    })),
  ];
}

/** False where there is one for this thing, threshold and end. */
export async function insertNotice(db: Queries, notice: Notice): Promise<boolean> {
  const row = await tables(db)
    .insertInto('identity_notice')
    .values({
      id: notice.id,
      kind: notice.kind,
      thing: notice.thing,
      days: notice.days,
      ends_at: notice.endsAt,
      project: notice.project,
      subjects: [...notice.subjects],
      text: notice.text,
      at: notice.at,
      held_until: null,
      delivered_at: null,
    })
    .onConflict((c) => c.constraint('one_notice_per_threshold').doNothing())
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

/** Undelivered notices of things that have not ended; held for the caller alone until `until`. */
export async function holdUndelivered(db: Queries, at: Date, until: Date): Promise<readonly Notice[]> {
  const rows = await tables(db)
    .updateTable('identity_notice')
    .set({ held_until: until })
    .where('delivered_at', 'is', null)
    .where('ends_at', '>', at)
    .where((e) => e.or([e('held_until', 'is', null), e('held_until', '<=', at)]))
    .returningAll()
    .execute();
  return rows.map(noticeFrom);
}

export async function markDelivered(db: Queries, id: string, at: Date): Promise<void> {
  await tables(db).updateTable('identity_notice').set({ delivered_at: at }).where('id', '=', id).execute();
}

export interface NoticePage {
  /** For these people, or of these projects; absent: all. */
  readonly visibleTo?: { readonly subject: string; readonly projects: readonly string[] };
  /** Of this project alone. */
  readonly project?: string;
  /** The last id of the page before. */
  readonly before?: string;
  readonly limit: number;
}

/** Newest first. */
export async function noticesPage(db: Queries, page: NoticePage): Promise<readonly Notice[]> {
  const { visibleTo, before } = page;
  let query = tables(db)
    .selectFrom('identity_notice')
    .selectAll()
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit);
  if (visibleTo !== undefined)
    query = query.where((e) =>
      e.or([
        sql<boolean>`${visibleTo.subject} = any(subjects)`,
        sql<boolean>`project = any(${sql.val([...visibleTo.projects])}::text[])`,
      ]),
    );
  if (page.project !== undefined) query = query.where('project', '=', page.project);
  if (before !== undefined)
    query = query.where(
      sql<boolean>`(at, id) < (select last.at, last.id from identity_notice last where last.id = ${before})`,
    );
  return (await query.execute()).map(noticeFrom);
}

/** Names and mail addresses of subjects, as the first source that lists them says. */
export async function addresseesOf(db: Queries, subjects: readonly string[]): Promise<readonly Addressee[]> {
  const { rows } = await sql<{ subject: string; name: string; mail: string | null }>`
    select distinct on (subject) subject, name, mail from identity_person
    where subject = any(${sql.val([...subjects])}::text[]) and ended_at is null order by subject, (mail is null), source`.execute(
    db,
  );
  const found = new Map(rows.map((r) => [r.subject, r]));
  return subjects.map((subject) => ({
    subject,
    name: found.get(subject)?.name ?? null,
    mail: found.get(subject)?.mail ?? null,
  }));
}
