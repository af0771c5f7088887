/** The tests' own server: it goes when nobody holds it, and takes everything with it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import pg from 'pg';
import { systemClock } from '../clock.ts';
import type { SocketConnection } from './embedded/supervise.ts';
import { nobodyWorksIn } from './embedded/supervisor-process.ts';
import { testDatabase } from './testing.ts';
import { until } from './wait.ts';

const patience = { clock: systemClock, timeoutMs: 30_000 };
const program = fileURLToPath(new URL('shared-test-server.ts', import.meta.url));

function startServer(t: TestContext, lingerMs: number): { folder: string; child: ChildProcess; ended: Promise<void> } {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'beamway-shared-'));
  chmodSync(folder, 0o711);
  const child = spawn(process.execPath, [program, folder, String(lingerMs)], { stdio: 'inherit', env: {} });
  const ended = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  return { folder, child, ended };
}

async function hold(folder: string): Promise<{ socket: Socket; server: SocketConnection }> {
  assert.ok(await until(patience, () => (existsSync(join(folder, 'control')) ? true : undefined)));
  const socket = connect(join(folder, 'control'));
  const greeting = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())));
  return { socket, server: JSON.parse(greeting) as SocketConnection };
}

async function databases(server: SocketConnection): Promise<readonly string[]> {
  const client = new pg.Client({ ...server, user: 'postgres', database: 'postgres' });
  await client.connect();
  try {
    return (
      await client.query<{ datname: string }>("select datname from pg_database where datname like 't\\_%'")
    ).rows.map((r) => r.datname);
  } finally {
    await client.end();
  }
}

test('databases of a process that is gone are dropped, and with the last one the server ends', async (t) => {
  const { folder, ended } = startServer(t, 300);
  const [one, two] = [await hold(folder), await hold(folder)];
  const name = `t_${'0'.repeat(16)}`;
  const client = new pg.Client({ ...one.server, user: 'postgres', database: 'postgres' });
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  one.socket.write(`${name}\n; drop database beamway\n`);
  assert.deepEqual(await databases(two.server), [name]);
  one.socket.end();
  assert.ok(await until(patience, async () => ((await databases(two.server)).length === 0 ? true : undefined)));
  two.socket.destroy();
  await ended;
  assert.ok(!existsSync(folder));
  assert.deepEqual(await nobodyWorksIn(join(folder, 'database', 'data')), []);
});

test('told to stop, the server ends at once though others hold it', async (t) => {
  const { folder, ended } = startServer(t, 60_000);
  const { socket } = await hold(folder);
  socket.write('stop\n');
  await ended;
  assert.ok(!existsSync(folder));
});

test('every test database is its own, migrated, and empty', async (t) => {
  const rooms = [
    {
      room: 'try',
      migrations: { '001-row': { up: async (db: never) => void (await sql`create table row (id int8)`.execute(db)) } },
    },
  ];
  const [one, two] = await Promise.all([testDatabase(t, rooms), testDatabase(t, rooms)]);
  await sql`insert into row values (1)`.execute(one.database.kysely);
  const rows = await sql<{ count: number }>`select count(*) as count from row`.execute(two.database.kysely);
  assert.equal(rows.rows[0]?.count, 0);
});
