/**
 * Templates of the shared test server: one migrated database per set of migrations and state of the sources, copied for
 * every test database. Only for testing.ts. State: the databases `template_STAMP_HASH` of the server.
 */
import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { systemClock } from '../clock.ts';
import { APPLICATION_ROLE, OWNER_ROLE, SUPERUSER } from './embedded/configuration.ts';
import type { EmbeddedDatabase, SocketConnection } from './embedded/supervise.ts';
import { silentLog } from './log.ts';
import { migrate, type RoomMigrations } from './migrate.ts';

/** src/ of this checkout. */
export const SOURCES = fileURLToPath(new URL('..', import.meta.url));

/** Advisory lock of the server's first database: shared to copy a template, exclusive to make one. */
const TEMPLATE_LOCK = 1;

export function connectionsTo(
  server: SocketConnection,
  database: string,
): Pick<EmbeddedDatabase, 'connection' | 'ownerConnection'> {
  const at = { ...server, database };
  return { connection: { ...at, user: APPLICATION_ROLE }, ownerConnection: { ...at, user: OWNER_ROLE } };
}

/** Makes database `name` with the migrations applied, and the template first if need be. */
export async function copyTemplate(
  server: SocketConnection,
  rooms: readonly RoomMigrations[],
  name: string,
): Promise<void> {
  const template = templateName(rooms);
  const client = new pg.Client({ ...server, user: SUPERUSER, database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  try {
    for (;;) {
      await client.query(`select pg_advisory_lock_shared(${TEMPLATE_LOCK})`);
      if (await exists(client, template)) {
        await client.query(`create database ${name} template ${template} owner ${OWNER_ROLE} strategy wal_log`);
        return;
      }
      await client.query(`select pg_advisory_unlock_shared(${TEMPLATE_LOCK}), pg_advisory_lock(${TEMPLATE_LOCK})`);
      if (!(await exists(client, template))) await makeTemplate(client, { server, rooms, template });
      await client.query(`select pg_advisory_unlock(${TEMPLATE_LOCK})`);
    }
  } finally {
    // The locks go with the session.
    await client.end();
  }
}

async function exists(client: pg.Client, name: string): Promise<boolean> {
  return (await client.query('select from pg_database where datname = $1', [name])).rowCount === 1;
}

interface TemplateOrder {
  readonly server: SocketConnection;
  readonly rooms: readonly RoomMigrations[];
  readonly template: string;
}

async function makeTemplate(client: pg.Client, { server, rooms, template }: TemplateOrder): Promise<void> {
  const stamp = template.slice(0, template.lastIndexOf('_') + 1);
  const old = await client.query<{ datname: string }>(
    "select datname from pg_database where datname like 'template\\__%\\_%' and not starts_with(datname, $1)",
    [stamp],
  );
  for (const { datname } of old.rows) await client.query(`drop database ${datname} with (force)`);
  // Named like a template only when it is complete.
  await client.query('drop database if exists draft with (force)');
  await client.query(`create database draft owner ${OWNER_ROLE}`);
  await migrate({ embedded: connectionsTo(server, 'draft') }, rooms, { clock: systemClock, log: silentLog });
  await client.query('alter database draft allow_connections false');
  await client.query(`alter database draft rename to ${template}`);
}

function templateName(rooms: readonly RoomMigrations[]): string {
  const hash = createHash('sha256');
  for (const { room, migrations, appendOnly = [] } of rooms) {
    const steps = Object.entries(migrations).map(([name, step]) => [name, step.up.toString()]);
    hash.update(JSON.stringify([room, appendOnly, steps]));
  }
  // What a migration calls may have changed without its own text.
  return `template_${Math.round(newestSource(SOURCES))}_${hash.digest('hex').slice(0, 16)}`;
}

/** Latest change of any source file, in milliseconds since the Unix epoch. */
function newestSource(folder: string): number {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const times = names.map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return times.reduce((newest, time) => Math.max(newest, time), 0);
}
