/** The only SQL of the room `pathway`: runs and their effects. A run is advanced by one executor at a time: its row is locked. */
import { type Kysely, sql } from 'kysely';
import type { Queries, RoomMigration, TransactionQueries } from '../database/index.ts';
import type { Effect, EffectState, Run, RunState } from './run.ts';
import type { Workflow } from './workflow.ts';

type RunRow = {
  id: string;
  project: string;
  environment: string;
  key: string | null;
  workflow: string;
  state: RunState;
  reason: string;
  created_by: string;
  subject: string;
  request_id: string;
  created_at: Date;
  ended_at: Date | null;
};

type EffectRow = {
  run: string;
  place: number;
  name: string;
  kind: 'stream' | 'job';
  state: EffectState;
  target: string | null;
  reason: string;
};

type PathwayTables = { pathway_run: RunRow; pathway_effect: EffectRow };

export const pathwayMigrations: Record<string, RoomMigration> = {
  '001-run': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .createTable('pathway_run')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('project', 'text', (c) => c.notNull())
        .addColumn('environment', 'text', (c) => c.notNull())
        .addColumn('key', 'text')
        .addColumn('workflow', 'text', (c) => c.notNull())
        .addColumn('state', 'text', (c) => c.notNull())
        .addColumn('reason', 'text', (c) => c.notNull())
        .addColumn('created_by', 'text', (c) => c.notNull())
        .addColumn('subject', 'text', (c) => c.notNull())
        .addColumn('created_at', 'timestamptz', (c) => c.notNull())
        .addColumn('ended_at', 'timestamptz')
        .addUniqueConstraint('one_run_per_key', ['project', 'key'])
        .execute();
      await sql`create index pathway_run_open on pathway_run (id) where ended_at is null`.execute(db);
      await db.schema
        .createTable('pathway_effect')
        .addColumn('run', 'text', (c) => c.notNull().references('pathway_run.id'))
        .addColumn('place', 'integer', (c) => c.notNull())
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('kind', 'text', (c) => c.notNull())
        .addColumn('state', 'text', (c) => c.notNull())
        .addColumn('target', 'text')
        .addColumn('reason', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('pathway_effect_key', ['run', 'kind', 'name'])
        .execute();
    },
  },
  '002-request': {
    async up(db: Kysely<never>): Promise<void> {
      await db.schema
        .alterTable('pathway_run')
        .addColumn('request_id', 'text', (c) => c.notNull().defaultTo(''))
        .execute();
    },
  },
};

const tables = (db: Queries) => db.withTables<PathwayTables>();

function runFrom(row: RunRow, effects: readonly EffectRow[]): Run {
  return {
    id: row.id,
    project: row.project,
    environment: row.environment,
    workflow: JSON.parse(row.workflow) as Workflow,
    state: row.state,
    reason: row.reason,
    createdBy: row.created_by,
    subject: row.subject,
    requestId: row.request_id,
    createdAt: row.created_at,
    endedAt: row.ended_at,
    effects: effects.map(({ name, kind, state, target, reason }) => ({ name, kind, state, target, reason })),
  };
}

async function withEffects(db: Queries, rows: readonly RunRow[]): Promise<readonly Run[]> {
  if (rows.length === 0) return [];
  const effects = await tables(db)
    .selectFrom('pathway_effect')
    .selectAll()
    .where(
      'run',
      'in',
      rows.map((r) => r.id),
    )
    .orderBy('place')
    .execute();
  const byRun = Map.groupBy(effects, (e) => e.run);
  return rows.map((row) => runFrom(row, byRun.get(row.id) ?? []));
}

/** False where the project has a run with this key already. */
export async function insertRun(trx: TransactionQueries, run: Run, key: string | null): Promise<boolean> {
  const row = await tables(trx)
    .insertInto('pathway_run')
    .values({
      id: run.id,
      project: run.project,
      environment: run.environment,
      key,
      workflow: JSON.stringify(run.workflow),
      state: run.state,
      reason: run.reason,
      created_by: run.createdBy,
      subject: run.subject,
      request_id: run.requestId,
      created_at: run.createdAt,
      ended_at: null,
    })
    .onConflict((c) => c.constraint('one_run_per_key').doNothing())
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) return false;
  await tables(trx)
    .insertInto('pathway_effect')
    .values(run.effects.map((e, place) => ({ run: run.id, place, ...e })))
    .execute();
  return true;
}

export async function runById(db: Queries, id: string): Promise<Run | undefined> {
  const row = await tables(db).selectFrom('pathway_run').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : (await withEffects(db, [row]))[0];
}

export async function runByKey(db: Queries, project: string, key: string): Promise<Run | undefined> {
  const row = await tables(db)
    .selectFrom('pathway_run')
    .selectAll()
    .where('project', '=', project)
    .where('key', '=', key)
    .executeTakeFirst();
  return row === undefined ? undefined : (await withEffects(db, [row]))[0];
}

export async function runsPage(
  db: Queries,
  page: {
    readonly project?: string;
    readonly environments?: readonly string[];
    readonly before?: string;
    readonly limit: number;
  },
): Promise<readonly Run[]> {
  if (page.environments?.length === 0) return [];
  let query = tables(db)
    .selectFrom('pathway_run')
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit);
  if (page.project !== undefined) query = query.where('project', '=', page.project);
  if (page.environments !== undefined) query = query.where('environment', 'in', page.environments);
  const before = page.before;
  if (before !== undefined) {
    query = query.where((e) =>
      e(
        e.refTuple('created_at', 'id'),
        '<',
        e
          .selectFrom('pathway_run as last')
          .select(['last.created_at', 'last.id'])
          .where('last.id', '=', before)
          .$asTuple('created_at', 'id'),
      ),
    );
  }
  return withEffects(db, await query.execute());
}

export async function openRunIds(db: Queries): Promise<readonly string[]> {
  const rows = await tables(db)
    .selectFrom('pathway_run')
    .select('id')
    .where('ended_at', 'is', null)
    .orderBy('id')
    .execute();
  return rows.map((r) => r.id);
}

/** Locks the run for this transaction; undefined where another executor has it or it is gone. */
export async function lockRun(trx: TransactionQueries, id: string): Promise<Run | undefined> {
  const row = await tables(trx)
    .selectFrom('pathway_run')
    .selectAll()
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
  return row === undefined ? undefined : (await withEffects(trx, [row]))[0];
}

export async function saveEffect(db: Queries, run: string, effect: Effect): Promise<void> {
  await tables(db)
    .updateTable('pathway_effect')
    .set({ state: effect.state, target: effect.target, reason: effect.reason })
    .where('run', '=', run)
    .where('kind', '=', effect.kind)
    .where('name', '=', effect.name)
    .execute();
}

export async function saveRunState(
  db: Queries,
  id: string,
  change: { readonly state: RunState; readonly reason: string; readonly endedAt: Date | null },
): Promise<void> {
  await tables(db)
    .updateTable('pathway_run')
    .set({ state: change.state, reason: change.reason, ended_at: change.endedAt })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .execute();
}
