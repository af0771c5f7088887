/**
 * The process behind the tests' one PostgreSQL server: supervises it in a folder of the temporary directory and ends it,
 * folder and all, a minute after the last test process has let go (or at once when told `stop`). A test process holds a
 * connection to its control socket, which the kernel closes when it dies; the databases it named there are dropped then.
 * Run as: node shared-test-server.ts FOLDER [LINGER_MS]
 */
import { rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { systemClock } from '../clock.ts';
import { SUPERUSER } from './embedded/configuration.ts';
import { EmbeddedError } from './embedded/embedded-error.ts';
import { startEmbedded } from './embedded/supervise.ts';
import { silentLog } from './log.ts';

/** How long it waits for another user, in milliseconds. */
const LINGER_MS = 60_000;
/** Test files run side by side, each with a few pools. */
const MAX_CONNECTIONS = 300;

const [folder, lingerMs = LINGER_MS] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: node shared-test-server.ts FOLDER [LINGER_MS]');
const control = join(folder, 'control');

const embedded = await startEmbedded({
  stateDir: folder,
  clock: systemClock,
  log: silentLog,
  maxConnections: MAX_CONNECTIONS,
  durable: false,
}).catch((error: unknown) => {
  // Another process of this kind has the folder; whoever started us will find that one.
  if (error instanceof EmbeddedError && error.message.includes('is in use by')) process.exit(0);
  throw error;
});

const users = new Set<Socket>();
let cancelLinger = (): void => {};
let ending = false;

const end = async (): Promise<void> => {
  if (ending) return;
  ending = true;
  cancelLinger();
  rmSync(control, { force: true });
  server.close();
  await embedded.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  for (const user of users) user.destroy();
};
const linger = (): void => {
  cancelLinger();
  if (users.size === 0) cancelLinger = systemClock.after(Number(lingerMs), () => void end());
};

const drop = async (databases: ReadonlySet<string>): Promise<void> => {
  if (databases.size === 0) return;
  const client = new pg.Client({ ...embedded.connection, user: SUPERUSER, database: 'postgres' });
  client.on('error', () => {});
  try {
    await client.connect();
    for (const name of databases) await client.query(`drop database if exists ${name} with (force)`);
  } catch (error) {
    // They go with the folder.
    console.error(`dropping test databases: ${error}`);
  } finally {
    await client.end().catch(() => {});
  }
};

const server = createServer((user) => {
  cancelLinger();
  users.add(user);
  const databases = new Set<string>();
  let unread = '';
  user.on('error', () => user.destroy());
  user.on('close', () => {
    users.delete(user);
    if (ending) return;
    void drop(databases);
    linger();
  });
  user.on('data', (data) => {
    const lines = (unread + data.toString()).split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) {
      if (line === 'stop') void end();
      if (/^t_[0-9a-f]{16}$/.test(line)) databases.add(line);
    }
  });
  user.write(`${JSON.stringify(embedded.connection)}\n`);
});
rmSync(control, { force: true });
server.listen(control, linger);
process.on('SIGTERM', () => void end());
process.on('SIGINT', () => void end());
