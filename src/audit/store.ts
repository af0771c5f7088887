/** The only SQL of the room `audit`. The application role may insert and read records, never change or delete them. */
import { type Kysely, sql } from 'kysely';
import { type Queries, type RoomMigration, transaction } from '../database/index.ts';
import { type AuditPhase, type AuditRecord, CHAIN_START, chainDigest, type StorableEntry } from './record.ts';

type RecordRow = {
  sequence: number;
  at: Date;
  request_id: string;
  phase: AuditPhase;
  caller_kind: string;
  caller_id: string;
  subject: string;
  project: string | null;
  action: string;
  resource: string;
  status: number | null;
  detail: string;
  digest: Buffer;
};

type AuditTables = {
  audit_record: RecordRow;
  audit_head: { only_row: boolean; sequence: number; digest: Buffer };
};

export const auditMigrations: Record<string, RoomMigration> = {
  '001-record': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('audit_record')
        .addColumn('sequence', 'bigint', (c) => c.primaryKey())
        .addColumn('at', 'timestamptz', (c) => c.notNull())
        .addColumn('request_id', 'text', (c) => c.notNull())
        .addColumn('phase', 'text', (c) => c.notNull().check(sql`phase in ('intent', 'outcome', 'denied', 'event')`))
        .addColumn('caller_kind', 'text', (c) => c.notNull())
        .addColumn('caller_id', 'text', (c) => c.notNull())
        .addColumn('subject', 'text', (c) => c.notNull())
        .addColumn('project', 'text')
        .addColumn('action', 'text', (c) => c.notNull())
        .addColumn('resource', 'text', (c) => c.notNull())
        .addColumn('status', 'integer')
        .addColumn('detail', 'text', (c) => c.notNull())
        .addColumn('digest', 'bytea', (c) => c.notNull())
        .execute();
      await db.schema.createIndex('audit_record_project').on('audit_record').columns(['project', 'sequence']).execute();
      await db.schema.createIndex('audit_record_request').on('audit_record').column('request_id').execute();
      await db.schema
        .createTable('audit_head')
        .addColumn('only_row', 'boolean', (c) => c.primaryKey().check(sql`only_row`))
        .addColumn('sequence', 'bigint', (c) => c.notNull())
        .addColumn('digest', 'bytea', (c) => c.notNull())
        .execute();
      await sql`insert into audit_head (only_row, sequence, digest) values (true, 0, ${CHAIN_START})`.execute(db);
    },
  },
};

const tables = (db: Queries) => db.withTables<AuditTables>();

/**
 * Appends a batch under the locked head row, so that replicas append in one order and sequence numbers have no gap.
 * All or nothing.
 */
export async function appendBatch(db: Queries, entries: readonly StorableEntry[]): Promise<void> {
  await transaction(db, async (trx) => {
    const head = await tables(trx)
      .selectFrom('audit_head')
      .select(['sequence', 'digest'])
      .forUpdate()
      .executeTakeFirstOrThrow();
    let { sequence, digest } = head;
    const rows = entries.map((entry): RecordRow => {
      sequence += 1;
      digest = chainDigest(digest, sequence, entry);
      return {
        sequence,
        at: entry.at,
        request_id: entry.requestId,
        phase: entry.phase,
        caller_kind: entry.callerKind,
        caller_id: entry.callerId,
        subject: entry.subject,
        project: entry.project,
        action: entry.action,
        resource: entry.resource,
        status: entry.status,
        detail: entry.detailText,
        digest,
      };
    });
    await tables(trx).insertInto('audit_record').values(rows).execute();
    await tables(trx).updateTable('audit_head').set({ sequence, digest }).execute();
  });
}

function recordFrom(row: RecordRow): AuditRecord & StorableEntry {
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

export interface AuditPage {
  readonly project?: string;
  readonly requestId?: string;
  readonly action?: string;
  /** Records with a smaller sequence number than this, newest first. */
  readonly before?: number;
  readonly limit: number;
}

export async function recordsPage(db: Queries, page: AuditPage): Promise<readonly AuditRecord[]> {
  let query = tables(db).selectFrom('audit_record').selectAll().orderBy('sequence', 'desc').limit(page.limit);
  if (page.project !== undefined) query = query.where('project', '=', page.project);
  if (page.requestId !== undefined) query = query.where('request_id', '=', page.requestId);
  if (page.action !== undefined) query = query.where('action', '=', page.action);
  if (page.before !== undefined) query = query.where('sequence', '<', page.before);
  return (await query.execute()).map(recordFrom);
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

export async function readHead(db: Queries): Promise<{ readonly sequence: number; readonly digest: Buffer }> {
  return tables(db).selectFrom('audit_head').select(['sequence', 'digest']).executeTakeFirstOrThrow();
}
