/**
 * Brings the schema up to date: every room hands in its migrations, they run in the order of the rooms, as the owning
 * role, under one advisory lock, in one transaction. Then the application's role gets its rights: all rows of all tables,
 * except that append-only tables can be read and added to only. State: kysely_migration in the database.
 */
import { Kysely, PostgresDialect, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { clientConfig, connectPatiently, type DatabaseTarget, type OpenOptions, openPool } from './connect.ts';
import { APPLICATION_ROLE } from './embedded/configuration.ts';
import { grantRights } from './grant-rights.ts';

/** What one room brings. Names sort in the order they run, such as `001-tokens`; a name that was released never changes. */
export interface RoomMigrations {
  readonly room: string;
  readonly migrations: Readonly<Record<string, RoomMigration>>;
  /** Tables (`name` or `schema.name`) in which the application may only insert and select. */
  readonly appendOnly?: readonly string[];
}

/** One step of a room; it sees no table types, since those of today are not those of then. */
export interface RoomMigration {
  up(db: Kysely<never>): Promise<void>;
}

export interface MigrateResult {
  /** `room/name` of what was run now, in order; empty when all was up to date. */
  readonly applied: readonly string[];
}

/** Key of the advisory lock under which schema and rights change: "beamway\0" read as a number. */
const MIGRATION_LOCK = 0x6265616d_77617900n;
const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;

export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

/**
 * Runs what has not been run, `rooms` in their order of dependency. Replicas may call this at the same time: one works,
 * the others wait and find nothing left. Throws MigrationError when a step fails (nothing of this call is kept), when the
 * database knows a step that `rooms` do not (it was made by a newer release), or when a new step would come before an old one.
 */
export async function migrate(
  target: DatabaseTarget,
  rooms: readonly RoomMigrations[],
  options: OpenOptions,
): Promise<MigrateResult> {
  const steps = orderSteps(rooms);
  const pool = openPool(clientConfig(target, 'owner', 'beamway-migrate'), { ...options, maxConnections: 1 });
  const dialect = new PostgresDialect({
    pool: { options: pool.options, connect: () => connectPatiently(pool, options), end: () => pool.end() },
  });
  const kysely = new Kysely<never>({ dialect });
  try {
    return await kysely.connection().execute(async (session) => {
      await sql`select pg_advisory_lock(${sql.lit(MIGRATION_LOCK)})`.execute(session);
      try {
        const applied = await runSteps(session, steps);
        for (const name of applied) options.log.info({ migration: name }, 'database: migrated');
        await grantRights(
          session,
          APPLICATION_ROLE,
          rooms.flatMap((r) => r.appendOnly ?? []),
        );
        return { applied };
      } finally {
        // The lock goes with the session if this fails.
        await sql`select pg_advisory_unlock(${sql.lit(MIGRATION_LOCK)})`.execute(session).catch(() => {});
      }
    });
  } finally {
    await kysely.destroy();
  }
}

/** `room/name` to step, in the order in which they run. Throws MigrationError for a malformed or doubled name. */
export function orderSteps(rooms: readonly RoomMigrations[]): ReadonlyMap<string, RoomMigration> {
  const steps = new Map<string, RoomMigration>();
  const seen = new Set<string>();
  for (const { room, migrations } of rooms) {
    if (!NAME.test(room) || seen.has(room)) throw new MigrationError(`room ${room}: malformed, or handed in twice`);
    seen.add(room);
    for (const name of Object.keys(migrations).sort()) {
      const step = migrations[name];
      if (!NAME.test(name) || step === undefined) throw new MigrationError(`migration ${room}/${name}: malformed name`);
      steps.set(`${room}/${name}`, step);
    }
  }
  return steps;
}

async function runSteps(session: Kysely<never>, steps: ReadonlyMap<string, RoomMigration>): Promise<readonly string[]> {
  const order = new Map([...steps.keys()].map((name, index) => [name, index]));
  const migrator = new Migrator({
    db: session,
    provider: { getMigrations: async () => Object.fromEntries(steps) as Record<string, Migration> },
    // A room in the middle may add a step after a later room's steps have run; within a room the order is checked below.
    allowUnorderedMigrations: true,
    nameComparator: (a, b) => (order.get(a) ?? -1) - (order.get(b) ?? -1),
  });
  await checkHistory(migrator, steps);
  const { error, results } = await migrator.migrateToLatest();
  if (error === undefined) return (results ?? []).map((r) => r.migrationName);
  const failed = results?.find((r) => r.status === 'Error')?.migrationName;
  const cause = error instanceof Error ? error.message : String(error);
  throw new MigrationError(failed === undefined ? cause : `${failed}: ${cause}`, { cause: error });
}

/** Within a room, a step that has not run must not sort before one that has: it would see a schema that never was. */
async function checkHistory(migrator: Migrator, steps: ReadonlyMap<string, RoomMigration>): Promise<void> {
  const all = await migrator.getMigrations();
  const ran = new Set(all.filter((m) => m.executedAt !== undefined).map((m) => m.name));
  const names = [...steps.keys()];
  for (const name of names.filter((n) => !ran.has(n))) {
    const room = name.slice(0, name.indexOf('/') + 1);
    const later = names.find((n) => n.startsWith(room) && n > name && ran.has(n));
    if (later !== undefined)
      throw new MigrationError(`${name} is new but sorts before ${later}, which has run: give it a later name`);
  }
}
