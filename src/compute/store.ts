/** The only SQL of the room `compute`: jobs, with their attempts as rows. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration } from '../database/index.ts';
import type { Attempt, Job, JobSpec, JobState } from './job.ts';

type JobRow = {
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
};

type AttemptRow = {
  job: string;
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

type ComputeTables = {
  compute_job: JobRow;
  compute_attempt: AttemptRow;
};

const ENDED_STATES = ['completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost'] as const;

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
};

const tables = (db: Queries) => db.withTables<ComputeTables>();

function attemptFrom(row: AttemptRow): Attempt {
  return {
    attempt: row.attempt,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    placement: JSON.parse(row.placement) as Attempt['placement'],
    outcome: row.outcome,
    exitCode: row.exit_code,
    signal: row.signal,
    stdoutPath: row.stdout_path,
    stderrPath: row.stderr_path,
  };
}

function jobFrom(row: JobRow, attempts: readonly AttemptRow[]): Job {
  return {
    id: row.id,
    project: row.project,
    environment: row.environment,
    cluster: row.cluster,
    nativeId: row.native_id,
    spec: JSON.parse(row.spec) as JobSpec,
    state: row.state,
    reason: row.reason,
    submittedBy: row.submitted_by,
    subject: row.subject,
    requestId: row.request_id,
    cancelRequestedAt: row.cancel_requested_at,
    submittedAt: row.submitted_at,
    updatedAt: row.updated_at,
    attempts: attempts.map(attemptFrom),
  };
}

async function withAttempts(db: Queries, rows: readonly JobRow[]): Promise<readonly Job[]> {
  if (rows.length === 0) return [];
  const attempts = await tables(db)
    .selectFrom('compute_attempt')
    .selectAll()
    .where(
      'job',
      'in',
      rows.map((r) => r.id),
    )
    .orderBy('attempt')
    .execute();
  const byJob = Map.groupBy(attempts, (a) => a.job);
  return rows.map((row) => jobFrom(row, byJob.get(row.id) ?? []));
}

/** False where the project has a job with this key already. */
export async function insertJob(db: Queries, job: Job, key: string | null): Promise<boolean> {
  const row = await tables(db)
    .insertInto('compute_job')
    .values({
      id: job.id,
      project: job.project,
      environment: job.environment,
      cluster: job.cluster,
      native_id: null,
      key,
      spec: JSON.stringify(job.spec),
      state: job.state,
      reason: job.reason,
      submitted_by: job.submittedBy,
      subject: job.subject,
      request_id: job.requestId,
      cancel_requested_at: null,
      submitted_at: job.submittedAt,
      updated_at: job.updatedAt,
    })
    .onConflict((c) => c.constraint('one_job_per_key').doNothing())
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
}

export async function jobById(db: Queries, id: string): Promise<Job | undefined> {
  const row = await tables(db).selectFrom('compute_job').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : (await withAttempts(db, [row]))[0];
}

export async function jobByKey(db: Queries, project: string, key: string): Promise<Job | undefined> {
  const row = await tables(db)
    .selectFrom('compute_job')
    .selectAll()
    .where('project', '=', project)
    .where('key', '=', key)
    .executeTakeFirst();
  return row === undefined ? undefined : (await withAttempts(db, [row]))[0];
}

export interface JobPage {
  readonly project?: string;
  readonly environments?: readonly string[];
  readonly state?: JobState;
  readonly before?: string;
  readonly limit: number;
}

/** Newest first. `before` is the last id of the page before. */
export async function jobsPage(db: Queries, page: JobPage): Promise<readonly Job[]> {
  if (page.environments?.length === 0) return [];
  let query = tables(db)
    .selectFrom('compute_job')
    .selectAll()
    .orderBy('submitted_at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit);
  if (page.project !== undefined) query = query.where('project', '=', page.project);
  if (page.environments !== undefined) query = query.where('environment', 'in', page.environments);
  if (page.state !== undefined) query = query.where('state', '=', page.state);
  const before = page.before;
  if (before !== undefined) {
    query = query.where((e) =>
      e(
        e.refTuple('submitted_at', 'id'),
        '<',
        e
          .selectFrom('compute_job as last')
          .select(['last.submitted_at', 'last.id'])
          .where('last.id', '=', before)
          .$asTuple('submitted_at', 'id'),
      ),
    );
  }
  return withAttempts(db, await query.execute());
}

/** Jobs that have not ended. */
export async function openJobs(db: Queries, cluster: string): Promise<readonly Job[]> {
  const rows = await tables(db)
    .selectFrom('compute_job')
    .selectAll()
    .where('cluster', '=', cluster)
    .where('state', 'not in', ENDED_STATES)
    .orderBy('submitted_at')
    .orderBy('id')
    .execute();
  return withAttempts(db, rows);
}

export async function countWaiting(db: Queries, project: string): Promise<number> {
  const row = await tables(db)
    .selectFrom('compute_job')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('project', '=', project)
    .where('state', 'in', ['accepted', 'queued'])
    .executeTakeFirstOrThrow();
  return row.count;
}

/** Writes state and attempts of a job that has not ended. False where it has: an ended job never changes. */
export async function saveProgress(trx: Queries, job: Job): Promise<boolean> {
  const row = await tables(trx)
    .updateTable('compute_job')
    .set({ native_id: job.nativeId, state: job.state, reason: job.reason, updated_at: job.updatedAt })
    .where('id', '=', job.id)
    .where('state', 'not in', ENDED_STATES)
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) return false;
  for (const a of job.attempts) {
    const values = {
      started_at: a.startedAt,
      ended_at: a.endedAt,
      placement: JSON.stringify(a.placement),
      outcome: a.outcome,
      exit_code: a.exitCode,
      signal: a.signal,
      stdout_path: a.stdoutPath,
      stderr_path: a.stderrPath,
    };
    await tables(trx)
      .insertInto('compute_attempt')
      .values({ job: job.id, attempt: a.attempt, ...values })
      .onConflict((c) => c.columns(['job', 'attempt']).doUpdateSet(values))
      .execute();
  }
  return true;
}

export async function requestCancel(db: Queries, id: string, at: Date): Promise<void> {
  await tables(db)
    .updateTable('compute_job')
    .set({ cancel_requested_at: at })
    .where('id', '=', id)
    .where('cancel_requested_at', 'is', null)
    .where('state', 'not in', ENDED_STATES)
    .execute();
}
