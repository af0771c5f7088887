/** Jobs in the database, with their attempts as rows: made, read, changed. Followers read through follow-store.ts. */
import { sql } from 'kysely';
import type { Queries } from '../database/index.ts';
import { type Attempt, type Job, type JobSpec, type JobState, type NativeFacts, NO_FACTS, tasksOf } from './job.ts';
import { type AttemptRow, isOpen, type JobRow, NO_TASK, tables } from './tables-store.ts';

/** Values of one statement stay far below PostgreSQL's 65,535. */
const ATTEMPTS_AT_ONCE = 1000;

function attemptFrom(row: AttemptRow): Attempt {
  return {
    task: row.task === NO_TASK ? null : row.task,
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
    facts: { ...NO_FACTS, ...(JSON.parse(row.native_facts) as Partial<NativeFacts>) },
    submittedBy: row.submitted_by,
    subject: row.subject,
    requestId: row.request_id,
    cancelRequestedAt: row.cancel_requested_at,
    submittedAt: row.submitted_at,
    updatedAt: row.updated_at,
    attempts: attempts.map(attemptFrom),
  };
}

export interface AttemptsOf {
  /** False: those of arrays are left out; there may be thousands. */
  readonly arrays: boolean;
}

export async function withAttempts(
  db: Queries,
  rows: readonly JobRow[],
  { arrays }: AttemptsOf = { arrays: true },
): Promise<readonly Job[]> {
  const ids = rows.filter((r) => arrays || r.tasks === 1).map((r) => r.id);
  const attempts =
    ids.length === 0
      ? []
      : await tables(db)
          .selectFrom('compute_attempt')
          .selectAll()
          .where(sql<boolean>`job = any(${ids})`)
          .orderBy('task')
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
      native_facts: '{}',
      tasks: tasksOf(job.spec),
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

/** Newest first. `before` is the last id of the page before. Attempts of arrays are left out. */
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
  return withAttempts(db, await query.execute(), { arrays: false });
}

export async function jobsById(db: Queries, ids: readonly string[]): Promise<ReadonlyMap<string, Job>> {
  if (ids.length === 0) return new Map();
  const rows = await tables(db)
    .selectFrom('compute_job')
    .selectAll()
    .where(sql<boolean>`id = any(${[...ids]})`)
    .execute();
  return new Map((await withAttempts(db, rows, { arrays: false })).map((j) => [j.id, j]));
}

/** Of those that are jobs of ours: the environment by id. */
export async function environmentsOfJobs(db: Queries, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const rows = await tables(db)
    .selectFrom('compute_job')
    .select(['id', 'environment'])
    .where(sql<boolean>`id = any(${[...ids]})`)
    .execute();
  return new Map(rows.map((r) => [r.id, r.environment]));
}

/** Tasks of a project's jobs that have not begun; a job that is no array is one. */
export async function countWaiting(db: Queries, project: string): Promise<number> {
  const row = await tables(db)
    .selectFrom('compute_job')
    .select((e) => e.fn.sum<number | string | null>('tasks').as('count'))
    .where('project', '=', project)
    .where('state', 'in', ['accepted', 'queued', 'held'])
    .executeTakeFirstOrThrow();
  return Number(row.count ?? 0);
}

export interface Progress {
  /** Those that are new or different. */
  readonly attempts: readonly Attempt[];
  /** `updatedAt` of the copy that this was made of. */
  readonly basedOn: Date;
}

/** Writes state and attempts of a job. False where it has ended (it never changes again) or was written since: nothing that was made of an older copy is written over a newer one. */
export async function saveProgress(trx: Queries, job: Job, { attempts, basedOn }: Progress): Promise<boolean> {
  const row = await tables(trx)
    .updateTable('compute_job')
    .set({
      native_id: job.nativeId,
      state: job.state,
      reason: job.reason,
      native_facts: JSON.stringify(job.facts),
      updated_at: job.updatedAt,
    })
    .where('id', '=', job.id)
    .where('updated_at', '=', basedOn)
    .where(isOpen)
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) return false;
  for (let from = 0; from < attempts.length; from += ATTEMPTS_AT_ONCE)
    await saveAttempts(trx, job.id, attempts.slice(from, from + ATTEMPTS_AT_ONCE));
  return true;
}

/** What was asked for has been changed. Apart from saveProgress: a follower's older copy must not undo it. */
export async function saveSpec(trx: Queries, id: string, spec: JobSpec): Promise<void> {
  await tables(trx)
    .updateTable('compute_job')
    .set({ spec: JSON.stringify(spec) })
    .where('id', '=', id)
    .where(isOpen)
    .execute();
}

async function saveAttempts(trx: Queries, job: string, attempts: readonly Attempt[]): Promise<void> {
  await tables(trx)
    .insertInto('compute_attempt')
    .values(
      attempts.map((a) => ({
        job,
        task: a.task ?? NO_TASK,
        attempt: a.attempt,
        started_at: a.startedAt,
        ended_at: a.endedAt,
        placement: JSON.stringify(a.placement),
        outcome: a.outcome,
        exit_code: a.exitCode,
        signal: a.signal,
        stdout_path: a.stdoutPath,
        stderr_path: a.stderrPath,
      })),
    )
    .onConflict((c) =>
      c.columns(['job', 'task', 'attempt']).doUpdateSet((e) => ({
        started_at: e.ref('excluded.started_at'),
        ended_at: e.ref('excluded.ended_at'),
        placement: e.ref('excluded.placement'),
        outcome: e.ref('excluded.outcome'),
        exit_code: e.ref('excluded.exit_code'),
        signal: e.ref('excluded.signal'),
        stdout_path: e.ref('excluded.stdout_path'),
        stderr_path: e.ref('excluded.stderr_path'),
      })),
    )
    .execute();
}

export async function requestCancel(db: Queries, id: string, at: Date): Promise<void> {
  await tables(db)
    .updateTable('compute_job')
    .set({ cancel_requested_at: at })
    .where('id', '=', id)
    .where('cancel_requested_at', 'is', null)
    .where(isOpen)
    .execute();
}
