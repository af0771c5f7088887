/**
 * The three configuration files of the embedded server as text. Unix socket only, peer authentication only, durable
 * (fsync and full pages on), small: it serves one control plane. Written anew at every start; owns no state.
 */
import type { OsUser } from './os-user.ts';
import { SOCKET_PORT } from './place.ts';

/** Superuser of the cluster; used for making roles and databases only. */
export const SUPERUSER = 'postgres';
/** Owns every table and migrates. */
export const OWNER_ROLE = 'beamway_owner';
/** The application: reads and writes rows, owns no table. */
export const APPLICATION_ROLE = 'beamway';
export const DATABASE_NAME = 'beamway';

export interface ServerSettings {
  /** Named in the file's head, so that an operator who finds a place elsewhere can tell whose it is. */
  readonly stateDir: string;
  readonly socketFolder: string;
  readonly maxConnections: number;
  /** False only for servers of tests, whose data need not outlive a power cut. */
  readonly durable: boolean;
}

/** A string as postgresql.conf writes it. */
export function quoteSetting(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** One folder of unix_socket_directories, which is a comma-separated list of identifiers that may be quoted. */
export function quoteFolderList(folder: string): string {
  return quoteSetting(`"${folder.replaceAll('"', '""')}"`);
}

export function postgresqlConf(settings: ServerSettings): string {
  const durable = settings.durable ? 'on' : 'off';
  const lines = [
    "listen_addresses = ''",
    `port = ${SOCKET_PORT}`,
    `unix_socket_directories = ${quoteFolderList(settings.socketFolder)}`,
    'unix_socket_permissions = 0700',
    `max_connections = ${settings.maxConnections}`,
    'superuser_reserved_connections = 3',
    `fsync = ${durable}`,
    `synchronous_commit = ${durable}`,
    `full_page_writes = ${durable}`,
    'shared_buffers = 64MB',
    'effective_cache_size = 512MB',
    'work_mem = 4MB',
    'maintenance_work_mem = 64MB',
    'max_wal_size = 512MB',
    'min_wal_size = 64MB',
    'checkpoint_timeout = 10min',
    'wal_level = minimal',
    'max_wal_senders = 0',
    'max_worker_processes = 4',
    'max_parallel_workers_per_gather = 0',
    'autovacuum_max_workers = 2',
    'autovacuum_naptime = 20s',
    'jit = off',
    "timezone = 'UTC'",
    "log_timezone = 'UTC'",
    "datestyle = 'iso, ymd'",
    "lc_messages = 'C'",
    "log_destination = 'stderr'",
    'logging_collector = off',
    "log_line_prefix = '%m [%p] %q%u@%d '",
    'log_checkpoints = off',
    'log_lock_waits = on',
    'log_autovacuum_min_duration = 10s',
    // Values bound to a statement may be secret: they stay out of the log.
    'log_parameter_max_length = 0',
    'log_parameter_max_length_on_error = 0',
  ];
  return `# Written by Beamway at every start; changes here are lost.\n# State folder: ${settings.stateDir.replaceAll(/[\r\n]/g, '?')}\n${lines.join('\n')}\n`;
}

export const pgHbaConf = '# Written by Beamway at every start.\nlocal all all peer map=beamway\n';

export function pgIdentConf(users: readonly OsUser[]): string {
  const names = [...new Set(users.map((u) => u.name))];
  const rows = names.flatMap((name) =>
    [APPLICATION_ROLE, OWNER_ROLE, SUPERUSER].map((role) => `beamway "${name.replaceAll('"', '""')}" ${role}`),
  );
  return `# Written by Beamway at every start: map, user of the system, role.\n${rows.join('\n')}\n`;
}
