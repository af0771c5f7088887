/**
 * Opens the database for the application's role: one pool, one Kysely. A server that restarts is waited for while
 * connecting, within a bound; an error of a pooled connection is logged and never ends the process.
 * State: the pool.
 */
import { readFile } from 'node:fs/promises';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Clock } from '../clock.ts';
import type { EmbeddedDatabase, SocketConnection } from './embedded/supervise.ts';
import type { DatabaseLog } from './log.ts';
import { isAway, isCrowded } from './transient.ts';
import { typeParsers } from './types.ts';
import { pause } from './wait.ts';

/** An embedded server, or an external one by URL. With an external one, a missing owner means that the one role is both. */
export type DatabaseTarget =
  | { readonly embedded: Pick<EmbeddedDatabase, 'connection' | 'ownerConnection'> }
  | {
      /** postgresql://user@host:port/database; keep the password out of it and in `passwordFile`. */
      readonly url: string;
      /** File that holds the password, read anew for every connection, so that it may be changed. */
      readonly passwordFile?: string;
      /** The role that owns the tables and migrates. */
      readonly ownerUrl?: string;
      readonly ownerPasswordFile?: string;
    };

export interface OpenOptions {
  readonly clock: Clock;
  readonly log: DatabaseLog;
  /** Connections of the pool at most; 10 unless told. */
  readonly maxConnections?: number;
  /** How long connecting waits for a server that is away, in milliseconds; 10,000 unless told. */
  readonly patienceMs?: number;
  /** Shown in pg_stat_activity; `beamway` unless told. */
  readonly applicationName?: string;
}

/** No table is known: rooms say theirs with `tables<T>()`. */
export type NoTables = Record<never, never>;

export interface Database {
  readonly kysely: Kysely<NoTables>;
  readonly pool: pg.Pool;
  readonly target: DatabaseTarget;
  readonly options: OpenOptions;
  /** The same Kysely, seen with the tables of one room. */
  tables<T>(): Kysely<T>;
  /** A connection outside the pool, for LISTEN and session locks; the caller connects it, hears its `error` and ends it. */
  dedicatedClient(name: string): pg.Client;
  /** Waits for running queries, then closes every connection. */
  close(): Promise<void>;
}

const FIRST_BACK_OFF_MS = 20;
const LONGEST_BACK_OFF_MS = 400;
const CONNECT_TIMEOUT_MS = 10_000;
/** A dedicated connection that does not answer for this long is taken for dead (a cable that was pulled says nothing). */
const DEDICATED_QUERY_TIMEOUT_MS = 10_000;

/** Connects on first use, so that it may be called while the server still starts. */
export function openDatabase(target: DatabaseTarget, options: OpenOptions): Database {
  const config = clientConfig(target, 'application', options.applicationName);
  const pool = openPool(config, options);
  const patient = { options: pool.options, connect: () => connectPatiently(pool, options), end: () => pool.end() };
  const kysely = new Kysely<NoTables>({ dialect: new PostgresDialect({ pool: patient }) });
  return {
    kysely,
    pool,
    target,
    options,
    // Kysely's type parameter has no trace at run time.
    tables: <T>() => kysely as unknown as Kysely<T>,
    dedicatedClient: (name) =>
      new pg.Client({ ...config, application_name: name, query_timeout: DEDICATED_QUERY_TIMEOUT_MS }),
    async close() {
      await kysely.destroy();
      if (!pool.ended && !pool.ending) await pool.end();
    },
  };
}

/** Settings of pg for a role of the target. A URL's other parameters (sslmode and the like) are pg's. */
export function clientConfig(
  target: DatabaseTarget,
  role: 'application' | 'owner',
  applicationName = 'beamway',
): pg.ClientConfig {
  const common: pg.ClientConfig = {
    types: typeParsers,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    options: '-c TimeZone=UTC',
  };
  if ('embedded' in target) {
    const socket: SocketConnection = role === 'owner' ? target.embedded.ownerConnection : target.embedded.connection;
    return { ...common, ...socket };
  }
  const asOwner = role === 'owner' && target.ownerUrl !== undefined;
  const file = asOwner ? target.ownerPasswordFile : target.passwordFile;
  const password = file === undefined ? {} : { password: async () => (await readFile(file, 'utf8')).trimEnd() };
  return { ...common, connectionString: asOwner ? target.ownerUrl : target.url, keepAlive: true, ...password };
}

/** A pool whose connections may break at any time, in use or idle, without ending the process. */
export function openPool(config: pg.ClientConfig, options: OpenOptions): pg.Pool {
  const pool = new pg.Pool({ ...config, max: options.maxConnections ?? 10, idleTimeoutMillis: 30_000 });
  const onError = (error: Error): void => options.log.warn({ error: error.message }, 'database: a connection broke');
  pool.on('error', onError);
  // pg-pool hears a connection's errors only while it is idle; unheard ones would end the process.
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

const waitedFor = new WeakSet<object>();

/** Whether this error comes from connecting after all patience was spent: trying again would only double the wait. */
export function hasWaited(error: unknown): boolean {
  return typeof error === 'object' && error !== null && waitedFor.has(error);
}

/** Connects, waiting for a server that is away or crowded until `patienceMs` are over; other errors at once. */
export async function connectPatiently(pool: pg.Pool, options: OpenOptions): Promise<pg.PoolClient> {
  const { clock, patienceMs = 10_000 } = options;
  const end = clock.monotonic() + patienceMs;
  for (let backOffMs = FIRST_BACK_OFF_MS; ; backOffMs = Math.min(backOffMs * 2, LONGEST_BACK_OFF_MS)) {
    try {
      return await pool.connect();
    } catch (error) {
      if (!(isAway(error) || isCrowded(error))) throw error;
      if (clock.monotonic() + backOffMs > end) {
        if (error instanceof Error) waitedFor.add(error);
        throw error;
      }
      await pause(clock, backOffMs);
    }
  }
}
