/** Reading a real directory (slapd): TLS, bind, pages, groups of both kinds, and every way in which it must fail without half an answer. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import type { LdapSource } from '../people-settings.ts';
import { readLdap } from './read-ldap.ts';
import { readSource } from './read-source.ts';
import { BIND_DN, SUFFIX, startSlapd, type TestDirectory, whyNoSlapd } from './slapd.fixture.ts';

const skip = whyNoSlapd() ?? false;
const PEOPLE = 60;
const SIZE_LIMIT = 25;

const entry = (dn: string, lines: readonly string[]): string => `dn: ${dn},${SUFFIX}\n${lines.join('\n')}\n\n`;
const person = (uid: string, more: readonly string[] = []): string =>
  entry(`uid=${uid},ou=people`, [
    'objectClass: inetOrgPerson',
    'objectClass: posixAccount',
    `uid: ${uid}`,
    `cn: Person ${uid}`,
    'sn: P',
    'uidNumber: 1',
    'gidNumber: 1',
    `homeDirectory: /home/${uid}`,
    ...more,
  ]);
const unit = (name: string): string => entry(`ou=${name}`, ['objectClass: organizationalUnit', `ou: ${name}`]);
const LDIF = [
  unit('people'),
  unit('groups'),
  ...Array.from({ length: PEOPLE }, (_, i) => person(`u${i}`)),
  person('ada', ['mail: ada@example.org', 'employeeType: locked']),
  entry('cn=physics,ou=groups', [
    'objectClass: posixGroup',
    'cn: physics',
    'gidNumber: 7',
    'description: Physics',
    ...Array.from({ length: PEOPLE }, (_, i) => `memberUid: u${i}`),
  ]),
  entry('cn=neutrons,ou=groups', [
    'objectClass: groupOfNames',
    'cn: neutrons',
    `member: uid=u1,ou=people,${SUFFIX}`,
    `member: uid=ghost,ou=people,${SUFFIX}`,
    `owner: uid=u2,ou=people,${SUFFIX}`,
  ]),
  entry('cn=odd \\28x\\29\\2a,ou=groups', ['objectClass: posixGroup', 'cn: odd (x)*', 'gidNumber: 8', 'memberUid: u3']),
  entry('cn=ops,ou=groups', ['objectClass: posixGroup', 'cn: ops', 'gidNumber: 9', 'memberUid: u0']),
].join('');

let directory: TestDirectory;
before(async () => {
  if (skip === false) directory = await startSlapd(LDIF, SIZE_LIMIT);
});
after(() => directory?.stop());

function source(change: Partial<LdapSource> = {}): LdapSource {
  return {
    name: 'directory',
    kind: 'ldap',
    url: directory.url,
    startTls: true,
    caFile: directory.caFile,
    bindDn: BIND_DN,
    bindPasswordFile: directory.passwordFile,
    subjectPrefix: '',
    timeoutSeconds: 5,
    pageSize: 10,
    people: {
      base: `ou=people,${SUFFIX}`,
      filter: '(objectClass=posixAccount)',
      subject: 'uid',
      name: 'cn',
      mail: 'mail',
      disabled: { attribute: 'employeeType', values: ['locked'] },
    },
    groups: {
      base: `ou=groups,${SUFFIX}`,
      filter: '(|(objectClass=posixGroup)(objectClass=groupOfNames))',
      name: 'cn',
      title: 'description',
      leads: 'owner',
      rename: { 'odd (x)*': 'odd' },
      roles: { ops: ['operator'] },
    },
    ...change,
  };
}

test('people and groups come whole over StartTLS, in pages, past the server’s size limit', { skip }, async () => {
  const { persons = [], memberships = [], projects = [], ignored } = await readLdap(source());
  assert.equal(persons.length, PEOPLE + 1);
  assert.deepEqual(
    persons.find((p) => p.subject === 'ada'),
    { subject: 'ada', name: 'Person ada', mail: 'ada@example.org', state: 'disabled', roles: [] },
  );
  assert.deepEqual(persons.find((p) => p.subject === 'u0')?.roles, ['operator']);
  assert.deepEqual(projects.map((p) => p.name).sort(), ['neutrons', 'odd', 'physics']);
  assert.equal(memberships.filter((m) => m.project === 'physics').length, PEOPLE);
  assert.deepEqual(
    memberships
      .filter((m) => m.project !== 'physics')
      .map((m) => `${m.project}/${m.subject} ${m.role}`)
      .sort(),
    ['neutrons/u1 member', 'neutrons/u2 project-lead', 'odd/u3 member'],
  );
  assert.deepEqual(
    ignored.map((i) => i.what),
    [`member uid=ghost,ou=people,${SUFFIX} of group neutrons`],
  );
});

test('the same over ldaps; and with names given, only those groups, however they are written', { skip }, async () => {
  const { groups } = source();
  const { projects = [] } = await readLdap(
    source({ url: directory.tlsUrl, startTls: false, groups: { ...groups, only: ['odd (x)*'] } }),
  );
  assert.deepEqual(
    projects.map((p) => p.name),
    ['odd'],
  );
});

test('a wrong password, an unknown authority, a password file that others can read: each fails, says why and not the password', {
  skip,
}, async () => {
  const refused = async (change: Partial<LdapSource>, why: RegExp): Promise<void> => {
    const thrown = await readSource(source(change)).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(thrown instanceof Error);
    assert.match(thrown.message, why);
    assert.doesNotMatch(thrown.message, /wrong one|reader’s own/);
  };
  const file = `${directory.passwordFile}.wrong`;
  writeFileSync(file, 'the wrong one', { mode: 0o600 });
  await refused(
    { bindPasswordFile: file },
    /could not be read; what was imported before stays: the directory answers: invalid credentials/,
  );
  chmodSync(file, 0o644);
  await refused({ bindPasswordFile: file }, /can be read by others/);
  const { caFile: _, ...unknown } = source();
  await assert.rejects(readLdap(unknown), /self[- ]signed certificate/i);
  await refused(
    { groups: { ...source().groups, base: `ou=nowhere,${SUFFIX}` } },
    /the directory answers: no such object/,
  );
});

test('a server that says nothing is given up after its time', async (t) => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  t.after(() => silent.close());
  await new Promise<void>((resolve) => silent.once('listening', () => resolve()));
  const address = silent.address();
  assert.ok(address !== null && typeof address === 'object');
  const url = `ldap://127.0.0.1:${address.port}`;
  const people = { base: 'dc=x', filter: '(uid=*)', subject: 'uid', name: 'cn', mail: 'mail' };
  const groups = { base: 'dc=x', filter: '(cn=*)', name: 'cn', title: 'description', rename: {}, roles: {} };
  const quiet: LdapSource = {
    name: 'quiet',
    kind: 'ldap',
    url,
    startTls: false,
    subjectPrefix: '',
    timeoutSeconds: 1,
    pageSize: 10,
    people,
    groups,
  };
  await assert.rejects(readLdap(quiet), /timed? ?out/i);
});
