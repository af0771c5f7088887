// Whom a project's person is: never root, slurm, the agent or the signer by any name, never with a group of strangers; a mapping that others may write is not read.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { handWoundClock } from '../../clock.ts';
import { SlurmFailure } from '../contract/index.ts';
import { loadMapping, mapper, mappingSchema, type Who } from './mapping.ts';
import type { UnixDatabase, UnixGroup, UnixUser } from './unix-database.ts';

const place = mkdtempSync(join(tmpdir(), 'beamway-mapping-'));
after(() => rmSync(place, { recursive: true, force: true }));

const USERS: readonly UnixUser[] = [
  { name: 'root', uid: 0, gid: 0 },
  { name: 'toor', uid: 0, gid: 0 },
  { name: 'daemon', uid: 1, gid: 1 },
  { name: 'slurm', uid: 64030, gid: 64030 },
  { name: 'slurm2', uid: 64030, gid: 2001 },
  { name: 'nobody', uid: 65534, gid: 65534 },
  { name: 'beamway-slurm', uid: 1900, gid: 1900 },
  { name: 'beamway-signer', uid: 1901, gid: 1901 },
  { name: 'signer2', uid: 1901, gid: 2001 },
  { name: 'alice', uid: 2001, gid: 2001 },
  { name: 'bob', uid: 2002, gid: 2002 },
  { name: 'staff1', uid: 2003, gid: 100 },
  { name: 'roomy', uid: 2004, gid: 2004 },
  { name: 'guest', uid: 2005, gid: 2004 },
];
const GROUPS: readonly UnixGroup[] = [
  { name: 'root', gid: 0, members: [] },
  { name: 'users', gid: 100, members: [] },
  { name: 'alice', gid: 2001, members: ['beamway-slurm'] },
  { name: 'bob', gid: 2002, members: [] },
  { name: 'roomy', gid: 2004, members: [] },
  { name: 'crowd', gid: 3000, members: ['bob', 'alice'] },
  { name: 'job-bob', gid: 3001, members: ['bob', 'beamway-slurm'] },
  { name: 'not-his', gid: 3002, members: ['beamway-slurm'] },
];
const unix: UnixDatabase = {
  user: async (name) => USERS.find((u) => u.name === name),
  userOf: async (uid) => USERS.find((u) => u.uid === uid),
  group: async (name) => GROUPS.find((g) => g.name === name),
  groupOf: async (gid) => GROUPS.find((g) => g.gid === gid),
  primaryMembers: async (gid) =>
    USERS.filter((u) => u.gid === gid && u.uid !== 64030 && u.uid !== 1901).map((u) => u.name),
};
const self = { uid: 1900, name: 'beamway-slurm' };
const clock = handWoundClock();

function ask(user: string, group?: string, more: object = {}) {
  const mapping = mappingSchema.parse({
    projects: {
      p: { user, account: 'acc', roots: ['/scratch/p'], ...(group === undefined ? {} : { group }), ...more },
    },
    never: ['bob2'],
  });
  return mapper({ mapping, unix, clock, self });
}
const who: Who = { project: 'p', person: 'sub-1' };
const refused = (why: RegExp) => (error: unknown) =>
  error instanceof SlurmFailure && error.kind === 'refused' && why.test(error.message);

test('a user with a group of his own, or one shared with the agent alone', async () => {
  assert.deepEqual(await ask('alice')(who), {
    name: 'alice',
    uid: 2001,
    gid: 2001,
    group: { name: 'alice', gid: 2001 },
    account: 'acc',
    roots: ['/scratch/p'],
  });
  assert.equal((await ask('bob', 'job-bob')(who)).group.gid, 3001);
});

for (const [user, group, why] of [
  ['root', undefined, /nothing runs as root/],
  ['toor', undefined, /nothing runs as toor/],
  ['daemon', undefined, /nothing runs as daemon/],
  ['slurm', undefined, /nothing runs as slurm/],
  ['slurm2', undefined, /who is slurm/],
  ['nobody', undefined, /nothing runs as nobody/],
  ['beamway-slurm', undefined, /runs as the agent/],
  ['beamway-signer', undefined, /nothing runs as/],
  ['signer2', undefined, /who is beamway-signer/],
  ['nosuch', undefined, /does not exist here/],
  ['staff1', undefined, /one of the system/],
  ['roomy', undefined, /holds others.*guest/],
  ['bob', 'crowd', /holds others.*alice/],
  ['bob', 'not-his', /bob is not in the group/],
  ['bob', 'nogroup', /group of bob does not exist/],
] as const)
  test(`refused: ${user}${group === undefined ? '' : ` with the group ${group}`}`, async () => {
    await assert.rejects(ask(user, group)(who), refused(why));
  });

test('a person of the table runs as himself, others as the project; an unknown project as nobody', async () => {
  const map = ask('bob', 'job-bob', { people: { 'sub-1': 'alice' } });
  assert.deepEqual([(await map(who)).name, (await map(who)).group.name], ['alice', 'alice']);
  assert.equal((await map({ ...who, person: 'sub-2' })).name, 'bob');
  for (const name of ['q', '__proto__', 'constructor', 'toString', '']) {
    await assert.rejects(map({ project: name, person: 'x' }), refused(/not in the mapping/));
    assert.equal((await map({ project: 'p', person: name })).name, 'bob');
  }
});

test('minUid may be higher than 1000, never lower', async () => {
  assert.throws(() => mappingSchema.parse({ projects: {}, minUid: 999 }));
  const projects = { p: { user: 'alice', account: 'acc', roots: [] } };
  const mapping = mappingSchema.parse({ projects, minUid: 2002 });
  await assert.rejects(mapper({ mapping, unix, clock, self })(who), refused(/nothing runs as alice/));
});

function program(name: string, text: string): string {
  const path = join(place, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}
const byCommand = (path: string) =>
  mapper({ mapping: mappingSchema.parse({ command: [path, 'a b'] }), unix, clock, self });

test('a command gets one line of JSON and a closed environment; its answer is kept for a minute and checked each time', async () => {
  const path = program(
    'map',
    `cat >> ${place}/asked; env | sort > ${place}/env; echo "$1" >> ${place}/asked
     echo '{"user":"alice","account":"acc","roots":["/s"]}'`,
  );
  const map = byCommand(path);
  const found = await Promise.all([map(who), map(who), map(who)]);
  assert.deepEqual(new Set(found.map((f) => f.name)), new Set(['alice']));
  assert.equal(readFileSync(join(place, 'asked'), 'utf8'), '{"project":"p","person":"sub-1"}\na b\n');
  assert.deepEqual(
    readFileSync(join(place, 'env'), 'utf8')
      .split('\n')
      .filter((l) => !/^(_|PWD|SHLVL|OLDPWD)=|^$/.test(l)),
    ['LC_ALL=C', 'PATH=/usr/bin:/bin'],
  );
  clock.advance(60_001);
  await map(who);
  assert.equal(readFileSync(join(place, 'asked'), 'utf8').split('\n').length, 5);
  await assert.rejects(
    byCommand(program('r', 'echo \'{"user":"root","account":"a","roots":[]}\''))(who),
    refused(/root/),
  );
});

test('a command that fails, babbles or says nonsense maps nobody, and is asked again', async () => {
  const failing = program('fail', 'exit 3');
  await assert.rejects(byCommand(failing)(who), (e: unknown) => e instanceof SlurmFailure && e.kind === 'unavailable');
  await assert.rejects(byCommand(program('much', 'yes | head -c 100000'))(who), SlurmFailure);
  for (const text of ['', 'hello', '[]', '{"user":"alice"}', '{"user":"a;b","account":"x","roots":[]}'])
    await assert.rejects(byCommand(program('odd', `echo '${text}'`))(who), refused(/names nobody/));
  const map = byCommand(
    program('later', `[ -e ${place}/now ] || exit 1; echo '{"user":"alice","account":"a","roots":[]}'`),
  );
  await assert.rejects(map(who), SlurmFailure);
  writeFileSync(join(place, 'now'), '');
  assert.equal((await map(who)).name, 'alice');
});

test('the file is read only where nobody else may write it, its folder or its command', async () => {
  const file = join(place, 'mapping.yaml');
  writeFileSync(file, 'projects:\n  p: { user: alice, account: acc, roots: [/s] }\n');
  assert.equal((await loadMapping(file)).projects?.['p']?.user, 'alice');
  for (const mode of [0o664, 0o646, 0o666]) {
    chmodSync(file, mode);
    await assert.rejects(loadMapping(file), /only its owner may write it/);
  }
  chmodSync(file, 0o644);
  chmodSync(place, 0o777);
  await assert.rejects(loadMapping(file), /could replace/);
  chmodSync(place, 0o700);
  const command = program('cmd', 'true');
  writeFileSync(file, `command: [${command}]\n`);
  await loadMapping(file);
  chmodSync(command, 0o777);
  await assert.rejects(loadMapping(file), /nobody else may write/);
  writeFileSync(file, 'command: [cmd]\n');
  await assert.rejects(loadMapping(file), /absolute path/);
  writeFileSync(file, 'projects: {}\ncommand: [/bin/true]\n');
  await assert.rejects(loadMapping(file), /either projects or command/);
});

test('whatever is asked, the answer is a mapped user or a SlurmFailure', async () => {
  const map = ask('alice');
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), async (project, person) => {
      const found = await map({ project, person }).catch((e: unknown) => e);
      assert.ok(found instanceof SlurmFailure || (project === 'p' && (found as { name: string }).name === 'alice'));
    }),
  );
});
