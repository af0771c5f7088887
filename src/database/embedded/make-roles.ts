/**
 * Makes the two roles and the database of a fresh cluster; what exists stays, so that it may run at every start.
 * The application role owns nothing and is no superuser (the audit log's tables must be out of its reach).
 */
import pg from 'pg';
import { APPLICATION_ROLE, DATABASE_NAME, OWNER_ROLE, SUPERUSER } from './configuration.ts';
import { SOCKET_PORT } from './place.ts';

/** A transaction that is left open this long is ended: it holds locks and keeps dead rows alive. */
const IDLE_TRANSACTION_LIMIT = '60s';

export async function makeRoles(socketFolder: string): Promise<void> {
  const client = new pg.Client({
    host: socketFolder,
    port: SOCKET_PORT,
    user: SUPERUSER,
    database: 'postgres',
    connectionTimeoutMillis: 10_000,
  });
  client.on('error', () => {});
  await client.connect();
  try {
    const roles = await client.query<{ rolname: string }>('select rolname from pg_roles where rolname = any($1)', [
      [OWNER_ROLE, APPLICATION_ROLE],
    ]);
    const have = new Set(roles.rows.map((r) => r.rolname));
    for (const role of [OWNER_ROLE, APPLICATION_ROLE]) {
      if (!have.has(role))
        await client.query(`create role ${role} login nosuperuser nocreatedb nocreaterole noreplication`);
    }
    await client.query(
      `alter role ${APPLICATION_ROLE} set idle_in_transaction_session_timeout = '${IDLE_TRANSACTION_LIMIT}'`,
    );
    const found = await client.query('select from pg_database where datname = $1', [DATABASE_NAME]);
    if (found.rowCount === 0) await client.query(`create database ${DATABASE_NAME} owner ${OWNER_ROLE}`);
    await client.query(`revoke all on database ${DATABASE_NAME} from public`);
    await client.query(`grant connect, temporary on database ${DATABASE_NAME} to ${APPLICATION_ROLE}`);
  } finally {
    await client.end();
  }
}
