import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LdapSource } from '../people-settings.ts';
import { escapeFilter, groupFilter, type LdapEntry, parseLdap } from './ldap.ts';

const SOURCE: LdapSource = {
  name: 'directory',
  kind: 'ldap',
  url: 'ldap://127.0.0.1:389',
  startTls: false,
  subjectPrefix: 'lab:',
  timeoutSeconds: 5,
  pageSize: 100,
  people: {
    base: 'ou=people',
    filter: '(uid=*)',
    subject: 'uid',
    name: 'cn',
    mail: 'mail',
    disabled: { attribute: 'nsAccountLock', values: ['true'] },
  },
  groups: {
    base: 'ou=groups',
    filter: '(cn=*)',
    name: 'cn',
    title: 'description',
    leads: 'owner',
    rename: { Big: 'big' },
    roles: { ops: ['operator'] },
  },
};
const entry = (dn: string, attributes: Readonly<Record<string, readonly string[]>>): LdapEntry => ({
  dn,
  attributes: new Map(Object.entries(attributes).map(([name, list]) => [name.toLowerCase(), list])),
});
const PEOPLE = [
  entry('uid=ada,ou=people', { uid: ['ada'], cn: ['Ada Lovelace'], mail: ['ada@example.org'] }),
  entry('uid=bob,ou=people', { uid: ['bob'], nsAccountLock: ['true'] }),
  entry('uid=odd,ou=people', { uid: ['not a name'] }),
];

test('members by name and by DN, leads, roles by mapped groups; who is locked is disabled', () => {
  const groups = [
    entry('cn=physics,ou=groups', { cn: ['physics'], memberUid: ['ada', 'ghost'], description: ['Physics'] }),
    entry('cn=Big,ou=groups', { cn: ['Big'], member: ['UID=bob, ou=People'], owner: ['uid=ada,ou=people'] }),
    entry('cn=ops,ou=groups', { cn: ['ops'], memberUid: ['ada'] }),
    entry('cn=Bad_Name,ou=groups', { cn: ['Bad_Name'] }),
  ];
  const reading = parseLdap(PEOPLE, groups, SOURCE);
  assert.deepEqual(
    reading.persons?.map((p) => [p.subject, p.state, p.mail, p.roles.join()]),
    [
      ['lab:ada', 'active', 'ada@example.org', 'operator'],
      ['lab:bob', 'disabled', null, ''],
    ],
  );
  assert.deepEqual(
    reading.memberships?.map((m) => `${m.project}/${m.subject} ${m.role}`),
    ['physics/lab:ada member', 'big/lab:bob member', 'big/lab:ada project-lead'],
  );
  assert.deepEqual(
    reading.projects?.map((p) => [p.name, p.title]),
    [
      ['physics', 'Physics'],
      ['big', 'big'],
    ],
  );
  assert.equal(reading.ignored.length, 3);
});

test('a group that came in part fails the reading: its other members have not left', () => {
  const cut = entry('cn=p,ou=groups', { cn: ['p'], 'member;range=0-1499': ['uid=ada,ou=people'] });
  assert.throws(() => parseLdap(PEOPLE, [cut], SOURCE), /a part of the members only/);
});

test('a value in a filter stays a value', () => {
  assert.equal(escapeFilter('a*)(uid=*\\\0'), 'a\\2a\\29\\28uid=\\2a\\5c\\00');
  assert.equal(groupFilter({ ...SOURCE.groups, only: ['a)(b', 'c'] }), '(&(cn=*)(|(cn=a\\29\\28b)(cn=c)))');
  fc.assert(fc.property(fc.string(), (text) => !/[*()\0]/.test(escapeFilter(text))));
});

test('whatever entries a directory sends, they are facts that the database can hold', () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('uid=ada,ou=people', 'ada', '__proto__', 'ops', '\ud800', '\0'));
  const attributes = fc.dictionary(
    fc.constantFrom('uid', 'cn', 'mail', 'member', 'memberUid', 'owner', 'description'),
    fc.array(text, { maxLength: 3 }),
  );
  fc.assert(
    fc.property(fc.array(attributes, { maxLength: 4 }), fc.array(attributes, { maxLength: 4 }), (people, groups) => {
      const reading = parseLdap(
        people.map((a, i) => entry(`uid=${i}`, a)),
        groups.map((a, i) => entry(`cn=${i}`, a)),
        SOURCE,
      );
      for (const p of [...(reading.persons ?? []), ...(reading.projects ?? [])]) {
        const written = JSON.stringify(p);
        assert.ok(!written.includes('\\u0000') && !written.includes('\\ud800'), written);
      }
    }),
    { numRuns: 300 },
  );
});
