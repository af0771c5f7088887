/** SQL of usage: slot-seconds of a project's attempts by cluster and node, within an interval. */
import { sql } from 'kysely';
import type { Queries } from '../database/index.ts';

export interface NodeUse {
  readonly cluster: string;
  readonly node: string;
  readonly slotSeconds: number;
  /** Of attempts that held the node, whatever part of it. */
  readonly nodeSeconds: number;
}

export interface UsageInterval {
  readonly project: string;
  readonly cluster?: string;
  /** Milliseconds since the Unix epoch. */
  readonly since: number;
  readonly until: number;
}

/** A placement without slots (Slurm names nodes only) counts the job's slots per node. An attempt that runs counts up to `until`; one whose job ended without a word of it (lost) counts up to that. */
export async function slotSecondsByNode(db: Queries, of: UsageInterval): Promise<readonly NodeUse[]> {
  const since = new Date(of.since);
  const until = new Date(of.until);
  const { rows } = await sql<NodeUse>`
    select u.cluster, p ->> 'node' as node,
      sum(coalesce(nullif(jsonb_array_length(p -> 'slots'), 0), (u.spec::jsonb ->> 'slotsPerNode')::int, 1)
        * extract(epoch from (u.ends - u.starts)))::float8 as "slotSeconds",
      sum(extract(epoch from (u.ends - u.starts)))::float8 as "nodeSeconds"
    from (
      select j.cluster, j.spec, a.placement, greatest(a.started_at, ${since}::timestamptz) as starts,
        least(coalesce(a.ended_at, case when j.state in ('completed', 'failed', 'cancelled', 'timed-out', 'node-failed', 'lost') then j.updated_at end, ${until}), ${until}::timestamptz) as ends
      from compute_attempt a join compute_job j on j.id = a.job
      where j.project = ${of.project} and a.started_at < ${until} and (a.ended_at is null or a.ended_at > ${since})
        and (${of.cluster ?? null}::text is null or j.cluster = ${of.cluster ?? null})
    ) u, jsonb_array_elements(u.placement::jsonb) p
    where u.ends > u.starts group by u.cluster, node`.execute(db);
  return rows;
}

/** Attempts that held slots within the interval, by cluster. */
export async function attemptsByCluster(db: Queries, of: UsageInterval): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql<{ cluster: string; attempts: number }>`
    select j.cluster, count(*) as attempts from compute_attempt a join compute_job j on j.id = a.job
    where j.project = ${of.project} and a.started_at < ${new Date(of.until)} and (a.ended_at is null or a.ended_at > ${new Date(of.since)})
    group by j.cluster`.execute(db);
  return new Map(rows.map((r) => [r.cluster, r.attempts]));
}
