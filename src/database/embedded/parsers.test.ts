/** What is read from files that others write: known texts, and any text whatever must not throw. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { quoteFolderList } from './configuration.ts';
import { type Binaries, chooseBinaries } from './find-binaries.ts';
import { chooseServiceUser, parsePasswd } from './os-user.ts';
import { parsePostmasterFile } from './postmaster-file.ts';
import { parseLinks } from './prepare-binaries.ts';
import { parseProcessStat } from './process-identity.ts';

test('any text is survived by the parsers of system files', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(fc.string()).map((l) => l.join('\n')),
        fc.array(fc.string()).map((l) => l.join(':')),
      ),
      (text) => {
        parsePostmasterFile(text);
        parseProcessStat(text);
        for (const user of parsePasswd(text)) assert.ok(Number.isInteger(user.uid) && user.name !== '');
      },
    ),
    { numRuns: 2_000 },
  );
});

test('postmaster.pid gives process, start, socket and status, and an unfinished one gives nothing', () => {
  const text = '4711\n/s/data\n1700000000\n5432\n/s/socket\n\n  1234  5\nready   \n';
  const file = {
    pid: 4711,
    dataFolder: '/s/data',
    startSeconds: 1_700_000_000,
    port: 5432,
    socketFolder: '/s/socket',
    status: 'ready',
  };
  assert.deepEqual(parsePostmasterFile(text), file);
  assert.equal(parsePostmasterFile('4711\n/s/da')?.pid, undefined);
  assert.equal(parsePostmasterFile('-12\n/s/data\n1\n'), undefined, 'a single-user backend is no server');
});

test('a process whose name holds spaces and parentheses is read right', () => {
  const rest = ['S', ...Array.from({ length: 18 }, (_, i) => String(i)), '987654', '0'].join(' ');
  assert.deepEqual(parseProcessStat(`12 (a b) c) ${rest}`), { state: 'S', startTicks: 987_654 });
});

test('root hands the server to postgres, else to nobody, else says what to do; others keep it', () => {
  const root = { name: 'root', uid: 0, gid: 0 };
  const nobody = { name: 'nobody', uid: 65_534, gid: 65_534 };
  const postgres = { name: 'postgres', uid: 101, gid: 104 };
  assert.equal(chooseServiceUser(root, [root, nobody, postgres]), postgres);
  assert.equal(chooseServiceUser(root, [root, nobody]), nobody);
  assert.throws(() => chooseServiceUser(root, [root, { ...postgres, uid: 0 }]), /add one of them/);
  assert.equal(chooseServiceUser(nobody, []), nobody);
});

test('the newest system binaries win, data take only their own major, and what is missing is named', () => {
  const system = (major: number): Binaries => ({
    binFolder: `/b/${major}`,
    major,
    source: 'system',
    version: String(major),
  });
  const npm: Binaries = { binFolder: '/n', major: 18, source: 'npm', version: '18.4.0' };
  assert.equal(chooseBinaries([npm, system(15), system(17)], null).major, 17);
  assert.equal(chooseBinaries([npm, system(15)], 18), npm);
  assert.equal(chooseBinaries([npm], null), npm);
  assert.throws(() => chooseBinaries([npm, system(17)], 15), /apt install postgresql-15/);
  assert.throws(() => chooseBinaries([], null), /apt install postgresql/);
});

test('library links that lead out of the package are refused', () => {
  assert.equal(parseLinks('[{"source":"native/lib/a.so.1","target":"native/lib/a.so"}]').length, 1);
  for (const path of ['/etc/passwd', 'native/../../x', '../x', 'lib/x']) {
    assert.throws(() => parseLinks(JSON.stringify([{ source: 'native/lib/a', target: path }])), /outside native/);
  }
});

test('a socket folder with quotes, commas and backslashes stays one setting', () => {
  assert.equal(quoteFolderList(`/a'b"c,d\\e`), `'"/a''b""c,d\\\\e"'`);
});
