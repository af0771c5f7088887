/** SQL of records and of the chain's head. The application role may insert and read records, never change or delete them. */
import { type SelectQueryBuilder, sql } from 'kysely';
import type { Queries } from '../database/index.ts';
import type { AuditPhase, AuditRecord, StorableEntry } from './record.ts';
import { type AuditTables, type RecordRow, tables } from './tables-store.ts';

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
