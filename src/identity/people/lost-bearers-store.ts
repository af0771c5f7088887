/** SQL: the living bearers that somebody loses with a membership, a project or their whole place here. */
import { type SqlBool, sql } from 'kysely';
import type { Queries, TransactionQueries } from '../../database/index.ts';
import type { Losses } from './membership.ts';

export interface LostBearers {
  /** Of whoever is disabled now. */
  readonly sessions: readonly string[];
  /** Of whoever is disabled now, of a project that ended, or of somebody who left its project. */
  readonly tokens: readonly string[];
}

/**
 * Tokens that somebody minted in the moment of leaving: a replica believes a session for one epoch read after its person lost a project. What was minted
 * later than that was minted by somebody who may.
 */
export async function tokensMintedWhileLeaving(db: Queries, at: Date): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select t.id from identity_token t where t.kind = 'token' and t.revoked_at is null and t.expires_at > ${at} and t.created_at > ${at}::timestamptz - interval '1 hour'
      and (exists (select from identity_membership m where m.subject = t.subject and m.project = t.project
          and m.ended_at between t.created_at - interval '5 s' and t.created_at + interval '5 s')
        and not exists (select from identity_membership m where m.subject = t.subject and m.project = t.project and m.ended_at is null)
      or exists (select from identity_person p where p.subject = t.subject and (p.ended_at is not null or p.state = 'disabled')
          and coalesce(p.ended_at, p.changed_at) between t.created_at - interval '5 s' and t.created_at + interval '5 s')
        and not exists (select from identity_person p where p.subject = t.subject and p.ended_at is null and p.state = 'active'))
    order by t.depth, t.created_at, t.id`.execute(db);
  return rows.map((r) => r.id);
}

/** In the order in which everybody takes token rows: parents before children. */
export async function bearersLost(trx: TransactionQueries, losses: Losses, at: Date): Promise<LostBearers> {
  const { disabled, projects, memberships } = losses;
  if (disabled.length + projects.length + memberships.length === 0) return { sessions: [], tokens: [] };
  const pairs = memberships.map((m) => `${m.project}/${m.subject}`);
  const list = (names: readonly string[]) => sql`${sql.val([...names])}::text[]`;
  const lost = sql<SqlBool>`(kind = 'session' and subject = any(${list(disabled)})) or (kind = 'token' and
    (subject = any(${list(disabled)}) or project = any(${list(projects)}) or project || '/' || subject = any(${list(pairs)})))`;
  const { rows } = await sql<{ id: string; kind: string; host: boolean }>`
    select id, kind, methods && array['issued', 'break-glass'] as host from identity_token
    where revoked_at is null and expires_at > ${at} and (${lost}) order by depth, created_at, id`.execute(trx);
  return {
    // What the host itself issued (admin init, break-glass) must outlive a directory that is wrong.
    sessions: rows.filter((r) => r.kind === 'session' && !r.host).map((r) => r.id),
    tokens: rows.filter((r) => r.kind === 'token').map((r) => r.id),
  };
}
