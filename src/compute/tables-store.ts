/** The tables of the room `compute`: their columns and how they came to be. Jobs, with their attempts as rows. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../database/index.ts';
import { type JobState, OPEN_STATES } from './job.ts';

export type JobRow = {
  id: string;
  project: string;
  environment: string;
  cluster: string;
  native_id: string | null;
  key: string | null;
  spec: string;
  state: JobState;
  reason: string;
  submitted_by: string;
  subject: string;
  request_id: string;
  cancel_requested_at: Date | null;
  submitted_at: Date;
  updated_at: Date;
  /** JSON of NativeFacts; jobs of before that are {}. */
  native_facts: string;
  /** Of an array: how many; else 1. */
  tasks: number;
};

export type AttemptRow = {
  job: string;
  /** NO_TASK where the job is no array: a part of a key is never null. */
  task: number;
  attempt: number;
  started_at: Date;
  ended_at: Date | null;
  placement: string;
  outcome: string | null;
  exit_code: number | null;
  signal: string | null;
  stdout_path: string;
  stderr_path: string;
};

export type ComputeTables = {
  compute_job: JobRow;
  compute_attempt: AttemptRow;
};

export const NO_TASK = -1;

export const tables = (db: Queries) => db.withTables<ComputeTables>();

/** Constants, as in the partial indexes: PostgreSQL must see that a query implies an index's predicate. */
export const isOpen = sql<boolean>`state in (${sql.raw(OPEN_STATES.map((s) => `'${s}'`).join(', '))})`;
export const isUnsettled = sql<boolean>`(native_id is null or cancel_requested_at is not null)`;

export const computeMigrations: Record<string, RoomMigration> = {
  '001-job': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('compute_job')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('project', 'text', (c) => c.notNull())
        .addColumn('environment', 'text', (c) => c.notNull())
        .addColumn('cluster', 'text', (c) => c.notNull())
        .addColumn('native_id', 'text')
        .addColumn('key', 'text')
        .addColumn('spec', 'text', (c) => c.notNull())
        .addColumn('state', 'text', (c) => c.notNull())
        .addColumn('reason', 'text', (c) => c.notNull())
        .addColumn('submitted_by', 'text', (c) => c.notNull())
        .addColumn('subject', 'text', (c) => c.notNull())
        .addColumn('cancel_requested_at', 'timestamptz')
        .addColumn('submitted_at', 'timestamptz', (c) => c.notNull())
        .addColumn('updated_at', 'timestamptz', (c) => c.notNull())
        .addUniqueConstraint('one_job_per_key', ['project', 'key'])
        .execute();
      await sql`create index compute_job_newest on compute_job (project, submitted_at desc, id desc)`.execute(db);
      await sql`create index compute_job_open on compute_job (cluster) where state in ('accepted', 'queued', 'running', 'completing', 'preempting')`.execute(
        db,
      );
      await db.schema
        .createTable('compute_attempt')
        .addColumn('job', 'text', (c) => c.notNull().references('compute_job.id'))
        .addColumn('attempt', 'integer', (c) => c.notNull())
        .addColumn('started_at', 'timestamptz', (c) => c.notNull())
        .addColumn('ended_at', 'timestamptz')
        .addColumn('placement', 'text', (c) => c.notNull())
        .addColumn('outcome', 'text')
        .addColumn('exit_code', 'integer')
        .addColumn('signal', 'text')
        .addColumn('stdout_path', 'text', (c) => c.notNull())
        .addColumn('stderr_path', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('compute_attempt_key', ['job', 'attempt'])
        .execute();
    },
  },
  '002-request': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .alterTable('compute_job')
        .addColumn('request_id', 'text', (c) => c.notNull().defaultTo(''))
        .execute();
    },
  },
  // States and predicates stand here as they were then: a migration never follows the code.
  '003-arrays-and-facts': {
    async up(db: Kysely<never>): Promise<void> {
      await sql`alter table compute_job add column native_facts text not null default '{}', add column tasks integer not null default 1`.execute(
        db,
      );
      await sql`drop index compute_job_open`.execute(db);
      await sql`create index compute_job_open on compute_job (cluster)
        where state in ('accepted', 'queued', 'held', 'running', 'suspended', 'completing', 'preempting')`.execute(db);
      await sql`create index compute_job_unsettled on compute_job (cluster)
        where (native_id is null or cancel_requested_at is not null)
          and state in ('accepted', 'queued', 'held', 'running', 'suspended', 'completing', 'preempting')`.execute(db);
      await sql`alter table compute_attempt add column task integer not null default -1`.execute(db);
      await sql`alter table compute_attempt drop constraint compute_attempt_key`.execute(db);
      await sql`alter table compute_attempt add constraint compute_attempt_key primary key (job, task, attempt)`.execute(
        db,
      );
    },
  },
};
