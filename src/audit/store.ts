/** SQL of records and of the chain's head. The application role may insert and read records, never change or delete them. */
import { type SelectQueryBuilder, sql } from 'kysely';
import { type Queries, type TransactionQueries, transaction } from '../database/index.ts';
import { arrayLiteral, timestampText } from './array-literal.ts';
import { type AuditPhase, type AuditRecord, digestOf, type StorableEntry } from './record.ts';
import { type AuditTables, type RecordRow, tables } from './tables-store.ts';

/**
 * Appends a batch under the locked head row, so that replicas append in one order and sequence numbers have no gap.
 * All or nothing.
 */
export async function appendBatch(db: Queries, entries: readonly StorableEntry[]): Promise<void> {
  await transaction(db, (trx) => appendWithin(trx, entries));
}

/** As a part of a transaction that does more; holds the head until it ends. */
export async function appendWithin(trx: TransactionQueries, entries: readonly StorableEntry[]): Promise<void> {
  const head = await tables(trx)
    .selectFrom('audit_head')
    .select(['sequence', 'digest', 'period'])
    .forUpdate()
    .executeTakeFirstOrThrow();
  let { sequence, digest } = head;
  const times: string[] = [];
  const digests: string[] = [];
  for (const entry of entries) {
    sequence += 1;
    const time = entry.at.toISOString();
    // Spelt out: a spread of each of thousands of records costs more than its hash.
    const { requestId, phase, callerKind, callerId, subject, project, action, resource, status, detailText } = entry;
    digest = digestOf(digest, {
      sequence,
      time,
      requestId,
      phase,
      callerKind,
      callerId,
      subject,
      project,
      action,
      resource,
      status,
      detailText,
    });
    times.push(timestampText(entry.at, time));
    digests.push(`\\x${digest.toString('hex')}`);
  }
  const column = (of: (entry: StorableEntry) => string | null) => arrayLiteral(entries.map(of));
  // One array a column: thirteen parameters however many records, and the least that PostgreSQL must parse.
  await sql`
      insert into audit_record (sequence, at, request_id, phase, caller_kind, caller_id, subject, project, action,
        resource, status, detail, digest, period)
      select ${head.sequence}::bigint + u.n, u.at, u.request_id, u.phase, u.caller_kind, u.caller_id, u.subject, u.project,
        u.action, u.resource, u.status, u.detail, u.digest, ${head.period}::integer
      from unnest(${arrayLiteral(times)}::timestamptz[], ${column((e) => e.requestId)}::text[], ${column((e) => e.phase)}::text[],
        ${column((e) => e.callerKind)}::text[], ${column((e) => e.callerId)}::text[], ${column((e) => e.subject)}::text[],
        ${column((e) => e.project)}::text[], ${column((e) => e.action)}::text[], ${column((e) => e.resource)}::text[],
        ${column((e) => (e.status === null ? null : String(e.status)))}::integer[], ${column((e) => e.detailText)}::text[],
        ${arrayLiteral(digests)}::bytea[]) with ordinality
        as u(at, request_id, phase, caller_kind, caller_id, subject, project, action, resource, status, detail, digest, n)
    `.execute(trx);
  await tables(trx).updateTable('audit_head').set({ sequence, digest }).execute();
}

export function recordFrom(row: RecordRow): AuditRecord & StorableEntry {
  return {
    sequence: row.sequence,
    at: row.at,
    requestId: row.request_id,
    phase: row.phase,
    callerKind: row.caller_kind,
    callerId: row.caller_id,
    subject: row.subject,
    project: row.project,
    action: row.action,
    resource: row.resource,
    status: row.status,
    detail: JSON.parse(row.detail) as Record<string, unknown>,
    detailText: row.detail,
    digest: row.digest,
  };
}

/** Every filter must hold. */
export interface AuditFilter {
  readonly project?: string;
  readonly requestId?: string;
  readonly action?: string;
  /** Id of a bearer, or name of a part of Beamway. */
  readonly caller?: string;
  readonly subject?: string;
  readonly phase?: AuditPhase;
  readonly status?: number;
  readonly since?: Date;
  /** Exclusive. */
  readonly until?: Date;
}

export interface AuditPage extends AuditFilter {
  /** Records with a smaller sequence number than this, newest first. */
  readonly before?: number;
  /** Records with a larger sequence number than this, oldest first; wins over `before`. */
  readonly after?: number;
  readonly limit: number;
}

type RecordQuery = SelectQueryBuilder<AuditTables, 'audit_record', RecordRow>;

function filtered(query: RecordQuery, filter: AuditFilter): RecordQuery {
  let q = query;
  if (filter.project !== undefined) q = q.where('project', '=', filter.project);
  if (filter.requestId !== undefined) q = q.where('request_id', '=', filter.requestId);
  if (filter.action !== undefined) q = q.where('action', '=', filter.action);
  if (filter.caller !== undefined) q = q.where('caller_id', '=', filter.caller);
  if (filter.subject !== undefined) q = q.where('subject', '=', filter.subject);
  if (filter.phase !== undefined) q = q.where('phase', '=', filter.phase);
  if (filter.status !== undefined) q = q.where('status', '=', filter.status);
  if (filter.since !== undefined) q = q.where('at', '>=', filter.since);
  if (filter.until !== undefined) q = q.where('at', '<', filter.until);
  return q;
}

export async function recordsPage(db: Queries, page: AuditPage): Promise<readonly AuditRecord[]> {
  const query = filtered(tables(db).selectFrom('audit_record').selectAll().limit(page.limit), page);
  if (page.after !== undefined)
    return (await query.where('sequence', '>', page.after).orderBy('sequence').execute()).map(recordFrom);
  const older = page.before === undefined ? query : query.where('sequence', '<', page.before);
  return (await older.orderBy('sequence', 'desc').execute()).map(recordFrom);
}

/** Undefined where there is none, or none of that project. */
export async function recordAt(db: Queries, sequence: number, project?: string): Promise<AuditRecord | undefined> {
  const query = filtered(tables(db).selectFrom('audit_record').selectAll(), project === undefined ? {} : { project });
  const row = await query.where('sequence', '=', sequence).executeTakeFirst();
  return row === undefined ? undefined : recordFrom(row);
}

export async function recordsFrom(
  db: Queries,
  afterSequence: number,
  limit: number,
): Promise<readonly (AuditRecord & StorableEntry)[]> {
  const rows = await tables(db)
    .selectFrom('audit_record')
    .selectAll()
    .where('sequence', '>', afterSequence)
    .orderBy('sequence')
    .limit(limit)
    .execute();
  return rows.map(recordFrom);
}

export interface ChainHead {
  readonly sequence: number;
  readonly digest: Buffer;
  readonly period: number;
  /** Largest sequence number of any record, in the same snapshot; 0 for none. */
  readonly last: number;
}

export async function readHead(db: Queries): Promise<ChainHead> {
  return tables(db)
    .selectFrom('audit_head')
    .select((e) => [
      'sequence',
      'digest',
      'period',
      e.fn
        .coalesce(
          e.selectFrom('audit_record').select((r) => r.fn.max('sequence').as('last')),
          sql.lit(0),
        )
        .as('last'),
    ])
    .executeTakeFirstOrThrow();
}
