/**
 * A fresh, migrated database for a test file, in a few tens of milliseconds: one PostgreSQL server for all test processes
 * of this checkout (shared-test-server.ts, which ends itself), one template per set of migrations, one copy per file.
 * For tests only. State: this process's hold on the server.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, closeSync, mkdirSync, openSync, realpathSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../clock.ts';
import { type Database, openDatabase } from './connect.ts';
import { EmbeddedError, hasCode } from './embedded/embedded-error.ts';
import { faultOf } from './embedded/folder.ts';
import { ourUser } from './embedded/os-user.ts';
import type { EmbeddedDatabase, SocketConnection } from './embedded/supervise.ts';
import { silentLog } from './log.ts';
import type { RoomMigrations } from './migrate.ts';
import { connectionsTo, copyTemplate, SOURCES } from './test-template.ts';
import { until } from './wait.ts';

/** What testDatabase needs of a test: node:test's context, or `{ after }` of node:test for a whole file. */
export interface TestScope {
  after(action: () => Promise<void>): unknown;
}

export interface TestDatabase {
  /** Opened as the application's role; closed when the test ends, before what the test itself registers with `after`. */
  readonly database: Database;
  /** For opening it again, as any role; looks like an embedded server. */
  readonly embedded: Pick<EmbeddedDatabase, 'connection' | 'ownerConnection'>;
}

const SERVER_PATIENCE_MS = 60_000;

/**
 * A database of its own with the migrations of `rooms` applied; it goes when this process ends. The first call of a run
 * starts the server (about a second) and makes the template. Throws EmbeddedError when PostgreSQL is not to be had.
 */
export async function testDatabase(t: TestScope, rooms: readonly RoomMigrations[]): Promise<TestDatabase> {
  const { server, socket } = await holdSharedServer();
  const name = `t_${randomBytes(8).toString('hex')}`;
  socket.write(`${name}\n`);
  await copyTemplate(server, rooms, name);
  const embedded = connectionsTo(server, name);
  const database = openDatabase({ embedded }, { clock: systemClock, log: silentLog, maxConnections: 5 });
  t.after(() => database.close());
  return { database, embedded };
}

/** Ends the shared server of this checkout and waits until it is gone; for the end of a test run. No server is no error. */
export async function stopSharedTestServer(): Promise<void> {
  const socket = await reach(join(sharedFolder(), 'control'));
  if (socket === undefined) return;
  await new Promise<void>((resolve) => {
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.resume();
    socket.write('stop\n');
  });
  held = undefined;
}

interface Hold {
  /** As the application's role to the server's first database. */
  readonly server: SocketConnection;
  readonly socket: Socket;
}

let held: Promise<Hold> | undefined;

/** The server runs at least as long as this process from here on. */
function holdSharedServer(): Promise<Hold> {
  held ??= holdServer();
  return held;
}

/** One per checkout and user; mode 0711, so that a server of root's finds its way in as its own user. */
function sharedFolder(): string {
  const us = ourUser();
  const key = createHash('sha256').update(realpathSync(SOURCES)).digest('hex').slice(0, 8);
  return join(realpathSync(tmpdir()), `beamway-test-${us.uid}-${key}`);
}

async function holdServer(): Promise<Hold> {
  const folder = sharedFolder();
  let started = 0;
  const socket = await until({ clock: systemClock, timeoutMs: SERVER_PATIENCE_MS, everyMs: 25 }, async () => {
    const reached = await reach(join(folder, 'control'));
    // Begun again now and then: the one before may just have been on its way out.
    if (reached === undefined && started++ % 40 === 0) startServer(folder);
    return reached;
  });
  if (socket === undefined) throw new EmbeddedError(`the tests' PostgreSQL does not come up: see ${folder}/server.log`);
  const greeting = await new Promise<string>((resolve, reject) => {
    let text = '';
    socket.on('data', (data) => {
      text += data.toString();
      if (text.endsWith('\n')) resolve(text);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new EmbeddedError(`the tests' PostgreSQL ended: see ${folder}/server.log`)));
  });
  // The hold must not keep a finished test process alive.
  socket.unref();
  socket.on('error', () => {});
  return { server: JSON.parse(greeting) as SocketConnection, socket };
}

function startServer(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o711 });
    // Whatever the umask: the server's own user must get in.
    chmodSync(folder, 0o711);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    const fault = faultOf(folder, ourUser(), 0o711);
    if (fault !== undefined) throw new EmbeddedError(fault);
  }
  const log = openSync(join(folder, 'server.log'), 'a', 0o600);
  const program = fileURLToPath(new URL('shared-test-server.ts', import.meta.url));
  const child = spawn(process.execPath, [program, folder], {
    detached: true,
    cwd: '/',
    env: {},
    stdio: ['ignore', log, log],
  });
  child.unref();
  closeSync(log);
}

function reach(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', () => resolve(undefined));
  });
}
