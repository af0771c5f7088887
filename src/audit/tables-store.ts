/**
 * The tables of the room `audit` and how they came to be. Records lie in one partition a period, and the head says which one is filled now; a
 * finished period can be dropped whole. The application owns none of it and adds a partition only through `audit_add_partition`. Owns no state.
 */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../database/index.ts';
import { type AuditPhase, CHAIN_START } from './record.ts';

export type RecordRow = {
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
  period: number;
};

export type CheckpointRow = {
  sequence: number;
  kind: 'mark' | 'start';
  digest: Buffer;
  at: Date;
  key_id: string;
  signature: Buffer;
};

export type AuditTables = {
  audit_record: RecordRow;
  audit_head: { only_row: boolean; sequence: number; digest: Buffer; period: number };
  audit_period: { period: number; first_sequence: number; opened_at: Date };
  audit_checkpoint: CheckpointRow;
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
  '002-partitions': {
    async up(db: Kysely<never>): Promise<void> {
      const found = await sql<{ schema: string }>`select quote_ident(current_schema()) as schema`.execute(db);
      // pg_temp last: nobody's temporary table may pass for ours inside the owner's function.
      const path = `${found.rows[0]?.schema ?? 'public'}, pg_temp`;
      for (const statement of [
        // The records that are there become the first partition; nothing is copied.
        'alter table audit_record rename to audit_record_p1',
        'alter table audit_record_p1 drop constraint audit_record_pkey',
        'drop index audit_record_project',
        'drop index audit_record_request',
        'alter table audit_record_p1 add column period integer not null default 1',
        'alter table audit_record_p1 alter column period drop default',
        'create table audit_record (like audit_record_p1 including constraints) partition by list (period)',
        'alter table audit_record add primary key (sequence, period)',
        'create index audit_record_project on audit_record (project, sequence)',
        // Hashes: for ids that are random a B-tree costs more than all the rest of a record.
        'create index audit_record_request on audit_record using hash (request_id)',
        'create index audit_record_caller on audit_record (caller_id, sequence)',
        "create index audit_record_resource on audit_record using hash (resource) where resource <> ''",
        // A few bytes a page: times nearly follow the sequence.
        'create index audit_record_time on audit_record using brin (at)',
        'alter table audit_record attach partition audit_record_p1 for values in (1)',
        'alter table audit_head add column period integer not null default 1',
        `create table audit_period (period integer primary key, first_sequence bigint not null, opened_at timestamptz not null)`,
        `insert into audit_period select 1, 1, coalesce((select min(at) from audit_record), now())`,
        // The application's only way to a partition: always the one after the head's, never another.
        `create function audit_add_partition() returns integer language plpgsql security definer set search_path = ${path} as $$
          declare following integer;
          begin
            select period + 1 into strict following from audit_head;
            if to_regclass('audit_record_p' || following) is null then
              execute format('create table %I (like audit_record including constraints)', 'audit_record_p' || following);
              execute format('alter table audit_record attach partition %I for values in (%s)', 'audit_record_p' || following, following);
            end if;
            return following;
          end $$`,
      ])
        await sql.raw(statement).execute(db);
    },
  },
  '003-checkpoints': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('audit_checkpoint')
        .addColumn('sequence', 'bigint', (c) => c.notNull())
        .addColumn('kind', 'text', (c) => c.notNull().check(sql`kind in ('mark', 'start')`))
        .addColumn('digest', 'bytea', (c) => c.notNull())
        .addColumn('at', 'timestamptz', (c) => c.notNull())
        .addColumn('key_id', 'text', (c) => c.notNull())
        .addColumn('signature', 'bytea', (c) => c.notNull())
        .addPrimaryKeyConstraint('audit_checkpoint_key', ['sequence', 'kind'])
        .execute();
    },
  },
};

export const tables = (db: Queries) => db.withTables<AuditTables>();
