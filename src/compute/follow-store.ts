/** What a follower reads: jobs that have not ended. All of them now and then; otherwise only those that something is to be done about. */
import { sql } from 'kysely';
import type { Queries } from '../database/index.ts';
import type { Job } from './job.ts';
import { withAttempts } from './store.ts';
import { isOpen, isUnsettled, tables } from './tables-store.ts';

/** Every job of the cluster that has not ended, oldest first. */
export async function openJobs(db: Queries, cluster: string): Promise<readonly Job[]> {
  const rows = await tables(db)
    .selectFrom('compute_job')
    .selectAll()
    .where('cluster', '=', cluster)
    .where(isOpen)
    .orderBy('submitted_at')
    .orderBy('id')
    .execute();
  return withAttempts(db, rows);
}

/** Those not handed over yet, and those that shall be cancelled. */
export async function unsettledJobs(db: Queries, cluster: string): Promise<readonly Job[]> {
  const rows = await tables(db)
    .selectFrom('compute_job')
    .selectAll()
    .where('cluster', '=', cluster)
    .where(isUnsettled)
    .where(isOpen)
    .orderBy('submitted_at')
    .orderBy('id')
    .execute();
  return withAttempts(db, rows);
}

/** Of these, the ones that have not ended. */
export async function openJobsOf(db: Queries, cluster: string, ids: readonly string[]): Promise<readonly Job[]> {
  if (ids.length === 0) return [];
  const rows = await tables(db)
    .selectFrom('compute_job')
    .selectAll()
    .where('cluster', '=', cluster)
    .where(sql<boolean>`id = any(${[...ids]})`)
    .where(isOpen)
    .execute();
  return withAttempts(db, rows);
}
