// What getent says: entries of the asked name only, malformed lines are none, a database that does not answer is no "no such user".
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { handWoundClock, systemClock } from '../../clock.ts';
import { SlurmFailure } from '../contract/index.ts';
import { openUnixDatabase, parseGroup, parseUser } from './unix-database.ts';

const place = mkdtempSync(join(tmpdir(), 'beamway-getent-'));
after(() => rmSync(place, { recursive: true, force: true }));
function getent(text: string): string {
  const path = join(place, `getent-${Math.random()}`);
  writeFileSync(path, `#!/bin/sh\necho "$@" >> ${place}/asked\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

test('this machine’s own root and its group are found, strangers are not', async () => {
  const unix = openUnixDatabase({ clock: systemClock });
  assert.deepEqual(await unix.user('root'), { name: 'root', uid: 0, gid: 0 });
  assert.equal((await unix.userOf(0))?.name, 'root');
  assert.equal((await unix.group('root'))?.gid, 0);
  assert.ok((await unix.primaryMembers(0)).includes('root'));
  for (const name of ['no-such-user-here', '0', '-s', '--help', 'ROOT', 'a:b', ''])
    assert.equal(await unix.user(name), undefined);
});

test('an answer for another name is none, and a malformed one too', async () => {
  const unix = openUnixDatabase({
    clock: handWoundClock(),
    getent: getent("echo 'Alice:x:2001:2001:::'; echo 'alice:x:2001'"),
  });
  assert.equal(await unix.user('alice'), undefined);
});

test('answers are kept for seconds; what failed is asked again and is unavailable, not absent', async () => {
  const clock = handWoundClock();
  const flag = join(place, 'up');
  const unix = openUnixDatabase({ clock, getent: getent(`[ -e ${flag} ] || exit 3; echo 'alice:x:2001:2001:::'`) });
  await assert.rejects(unix.user('alice'), (e: unknown) => e instanceof SlurmFailure && e.kind === 'unavailable');
  writeFileSync(flag, '');
  assert.equal((await unix.user('alice'))?.uid, 2001);
  const asked = (): number => readFileSync(join(place, 'asked'), 'utf8').split('\n').length;
  const before = asked();
  await unix.user('alice');
  assert.equal(asked(), before);
  clock.advance(10_001);
  await unix.user('alice');
  assert.equal(asked(), before + 1);
});

test('one that hangs is given up', async () => {
  const unix = openUnixDatabase({ clock: handWoundClock(), getent: getent('exec sleep 60'), timeoutMs: 100 });
  await assert.rejects(unix.user('alice'), (e: unknown) => e instanceof SlurmFailure && e.kind === 'unavailable');
});

test('any line is an entry with numbers in range, or none', () => {
  const field = fc.oneof(
    fc.string(),
    fc.bigInt().map(String),
    fc.constantFrom('-1', '4294967295', '4294967294', '1e3', ' 5'),
  );
  fc.assert(
    fc.property(fc.array(field, { maxLength: 9 }), (fields) => {
      for (const found of [...parseUser(fields.join(':')), ...parseGroup(fields.join(':'))])
        assert.ok(found.name !== '' && found.gid >= 0 && found.gid <= 4_294_967_294 && Number.isSafeInteger(found.gid));
    }),
  );
  assert.deepEqual(parseUser('a:x:4294967295:1:::'), []);
});
