/** The supervisor against real servers: kills, take-over, refusals, nothing left behind. Each test has a server of its own. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { systemClock } from '../../clock.ts';
import { openDatabase } from '../connect.ts';
import { silentLog } from '../log.ts';
import { migrate } from '../migrate.ts';
import { transaction } from '../transaction.ts';
import { until } from '../wait.ts';
import { removeEmbedded } from './leftovers.ts';
import { identityOf, processesIn, signalProcess } from './process-identity.ts';
import { type EmbeddedDatabase, startEmbedded } from './supervise.ts';
import {
  atEnd,
  nobodyWorksIn,
  patience,
  query,
  startSupervisor,
  temporaryFolder,
  testOptions,
} from './supervisor-process.ts';

const openOptions = { clock: systemClock, log: silentLog, patienceMs: 30_000 };
async function start(t: TestContext, stateDir: string): Promise<EmbeddedDatabase> {
  const server = await startEmbedded(testOptions(stateDir));
  atEnd(t, () => server.stop());
  return server;
}

test('a server killed while rows are written comes back and has every acknowledged row', async (t) => {
  const server = await startEmbedded({ ...testOptions(join(temporaryFolder(t), 'state')), durable: true });
  atEnd(t, () => server.stop());
  const rooms = [
    {
      room: 'try',
      migrations: {
        '001-row': { up: async (db: never) => void (await sql`create table row (id int8 primary key)`.execute(db)) },
      },
    },
  ];
  await migrate({ embedded: server }, rooms, openOptions);
  const database = openDatabase({ embedded: server }, openOptions);
  atEnd(t, () => database.close());
  const restarts: number[] = [];
  server.onRestart((pid) => restarts.push(pid));

  const acknowledged: number[] = [];
  let next = 0;
  let writing = true;
  const writer = async (): Promise<void> => {
    while (writing) {
      const id = next++;
      // What failed is not acknowledged; it may be there all the same.
      await transaction(database.kysely, (trx) => sql`insert into row values (${id})`.execute(trx)).then(
        () => acknowledged.push(id),
        () => {},
      );
    }
  };
  const writers = [writer(), writer(), writer()];
  for (let kill = 1; kill <= 3; kill++) {
    const had = acknowledged.length;
    await until(patience, () => (acknowledged.length > had + 100 ? true : undefined));
    const victim = server.pid();
    process.kill(victim, 'SIGKILL');
    assert.ok(await until(patience, () => (restarts.length === kill ? true : undefined)), 'the server came back');
    assert.notEqual(server.pid(), victim);
  }
  const had = acknowledged.length;
  assert.ok(await until(patience, () => (acknowledged.length > had + 50 ? true : undefined)), 'writing goes on');
  writing = false;
  await Promise.all(writers);
  const rows = await sql<{ id: number }>`select id from row`.execute(database.kysely);
  const there = new Set(rows.rows.map((r) => r.id));
  assert.deepEqual(
    acknowledged.filter((id) => !there.has(id)),
    [],
  );
});

test('stopping leaves no process, no socket and no pid file; the data are there at the next start', async (t) => {
  const stateDir = join(temporaryFolder(t), 'state');
  const first = await start(t, stateDir);
  const { host } = first.connection;
  await query(host, 'create table kept (x int)');
  await first.stop();
  await first.stop();
  const data = join(stateDir, 'database', 'data');
  assert.deepEqual(processesIn(data), []);
  assert.deepEqual(readdirSync(host), []);
  assert.ok(!existsSync(join(data, 'postmaster.pid')));
  const second = await start(t, stateDir);
  assert.equal(second.adopted, false);
  assert.deepEqual(await query(second.connection.host, "select to_regclass('kept')::text as name"), [{ name: 'kept' }]);
});

test('after kill -9 of the supervisor the next one adopts the running server and supervises it', async (t) => {
  const stateDir = join(temporaryFolder(t), 'state');
  const first = startSupervisor(t, { stateDir });
  const { ready } = await first.answer;
  assert.ok(ready !== undefined);
  await first.kill();
  assert.ok(identityOf(ready.pid) !== undefined, 'the server outlives its supervisor');
  const second = await start(t, stateDir);
  assert.equal(second.adopted, true);
  assert.equal(second.pid(), ready.pid);
  const restarted = new Promise<number>((resolve) => void second.onRestart(resolve));
  process.kill(ready.pid, 'SIGKILL');
  assert.notEqual(await restarted, ready.pid);
  assert.equal((await query(second.connection.host, 'select 1 as one')).length, 1);
});

test('a server that died together with its supervisor is begun anew, and a server that was left is adopted', async (t) => {
  const stateDir = join(temporaryFolder(t), 'state');
  const first = startSupervisor(t, { stateDir });
  const { ready } = await first.answer;
  assert.ok(ready !== undefined);
  await first.kill();
  process.kill(ready.pid, 'SIGKILL');
  const second = startSupervisor(t, { stateDir });
  const again = (await second.answer).ready;
  assert.ok(again !== undefined && !again.adopted);
  await second.end('leave');
  const third = await start(t, stateDir);
  assert.equal(third.pid(), again.pid);
  await third.stop();
});

test('a second supervisor of the same state is refused, in this process and in another', async (t) => {
  const stateDir = join(temporaryFolder(t), 'state');
  await start(t, stateDir);
  await assert.rejects(startEmbedded(testOptions(stateDir)), /in use by process/);
  const { error } = await startSupervisor(t, { stateDir }).answer;
  assert.match(error ?? '', new RegExp(`in use by process ${process.pid}`));
});

test('an initdb cut short is thrown away and done again', async (t) => {
  const stateDir = join(temporaryFolder(t), 'state');
  const base = join(stateDir, 'database');
  const first = startSupervisor(t, { stateDir });
  const draft = await until({ ...patience, everyMs: 5 }, () => {
    const name = existsSync(base) ? readdirSync(base).find((n) => n.startsWith('data.draft-')) : undefined;
    return name !== undefined && existsSync(join(base, name, 'global')) ? name : undefined;
  });
  await first.kill();
  assert.ok(draft !== undefined, 'initdb was under way');
  assert.ok(!existsSync(join(base, 'data')));
  const second = await start(t, stateDir);
  await second.stop();
  assert.deepEqual(
    readdirSync(base).filter((n) => n.startsWith('data')),
    ['data'],
  );
  assert.deepEqual(await nobodyWorksIn(join(base, draft)), []);
});

test('missing, foreign or unknown data are never replaced by new ones', async (t) => {
  const stateDir = join(temporaryFolder(t), 'state');
  const data = join(stateDir, 'database', 'data');
  await (await start(t, stateDir)).stop();
  renameSync(data, `${data}.away`);
  await assert.rejects(startEmbedded(testOptions(stateDir)), /data of this state are gone/);
  mkdirSync(data);
  await assert.rejects(startEmbedded(testOptions(stateDir)), /PG_VERSION is missing/);
  rmSync(data, { recursive: true });
  renameSync(`${data}.away`, data);
  const version = readFileSync(join(data, 'PG_VERSION'), 'utf8');
  writeFileSync(join(data, 'PG_VERSION'), '14\n');
  await assert.rejects(startEmbedded(testOptions(stateDir)), /of PostgreSQL 14, found: .*apt install postgresql-14/);
  writeFileSync(join(data, 'PG_VERSION'), version);
  writeFileSync(join(stateDir, 'database.json'), '{"version":');
  await assert.rejects(startEmbedded(testOptions(stateDir)), /database\.json cannot be understood/);
});

test('pid files of another run whose numbers are in use by other programs do not keep the server from starting', async (t) => {
  const stateDir = join(temporaryFolder(t), 'state');
  const first = await start(t, stateDir);
  const { host } = first.connection;
  const data = join(stateDir, 'database', 'data');
  const left = readFileSync(join(data, 'postmaster.pid'), 'utf8');
  await first.stop();
  // A program of the server's own user is what PostgreSQL would take for a server: here a shell-less sleeper.
  const sleeper = startSupervisor(t, { stateDir: join(temporaryFolder(t), 'state') });
  const number = (await sleeper.answer).ready?.pid ?? assert.fail();
  writeFileSync(join(data, 'postmaster.pid'), left.replace(/^\d+/, String(number)));
  writeFileSync(join(host, '.s.PGSQL.5432.lock'), `${number}\n${data}\n1\n5432\n${host}\n`);
  const second = await start(t, stateDir);
  assert.equal(second.adopted, false);
  await second.stop();
  assert.ok(identityOf(number) !== undefined, 'the other program was left alone');
  await sleeper.end('stop');
});

test('backends that outlive their killed server are waited for or ended before the next one starts', async (t) => {
  const stateDir = join(temporaryFolder(t), 'state');
  const server = await start(t, stateDir);
  const data = join(stateDir, 'database', 'data');
  // A stopped process cannot notice that the server died.
  const stuck = processesIn(data).find((p) => p.pid !== server.pid()) ?? assert.fail();
  signalProcess(stuck, 'SIGSTOP');
  const restarted = new Promise<number>((resolve) => void server.onRestart(resolve));
  process.kill(server.pid(), 'SIGKILL');
  await restarted;
  assert.equal(
    processesIn(data).some((p) => p.pid === stuck.pid),
    false,
  );
});

test('a state folder that is moved keeps its data, and removing takes server and data away', async (t) => {
  const folder = temporaryFolder(t);
  const before = join(folder, 'before');
  const stateDir = join(folder, 'state');
  const first = await start(t, before);
  await query(first.connection.host, 'create table kept (x int)');
  await first.stop();
  renameSync(before, stateDir);
  const second = await start(t, stateDir);
  assert.deepEqual(await query(second.connection.host, "select to_regclass('kept')::text as name"), [{ name: 'kept' }]);
  await assert.rejects(removeEmbedded(testOptions(stateDir)), /in use by/);
  await second.leave();
  await removeEmbedded(testOptions(stateDir));
  assert.deepEqual(readdirSync(stateDir), []);
  assert.equal(identityOf(second.pid()), undefined);
});
