// The pure parts of signing in: where a browser may go afterwards, what claims mean, what a typed code is, which settings are faulty.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { YamlError } from '../../facility/index.ts';
import { Problem } from '../../problems.ts';
import { ROLES } from '../caller.ts';
import { loginSecrets } from './begin-login.ts';
import { readUserCode, shownUserCode } from './device-login.ts';
import { personOfClaims } from './person-of-claims.ts';
import { returnPath } from './return-path.ts';
import { loadSignIn, type Provider } from './sign-in-settings.ts';

const NOW = Date.UTC(2026, 10, 23);
const provider: Provider = {
  name: 'campus',
  title: 'Campus',
  issuer: 'https://idp.example.org',
  clientId: 'beamway',
  scopes: ['openid'],
  subject: { claim: 'sub', prefix: '' },
  roles: { claim: 'groups', values: { ops: ['operator'], all: ['operator', 'approver'] } },
  secondFactor: { amr: ['mfa'], acr: ['urn:two'] },
};

test('a return path leads to our own origin, however it is written', () => {
  const piece = fc.constantFrom(
    '/',
    '\\',
    '//',
    '..',
    '.',
    '@',
    ':',
    'evil.example',
    'https:',
    'javascript:',
    '%2f',
    '%5c',
    '\t',
    '\n',
    ' ',
    '?',
    '#',
    'a',
    '\0',
    '／',
  );
  const wild = fc.oneof(
    fc.array(piece, { maxLength: 10 }).map((p) => p.join('')),
    fc.string({ unit: 'binary' }),
    fc.webUrl(),
  );
  fc.assert(
    fc.property(wild, (text) => {
      const path = returnPath(text, '/home');
      assert.equal(new URL(path, 'https://beamway.example.org').origin, 'https://beamway.example.org');
      assert.match(path, /^\/(?![/\\])/);
    }),
    { numRuns: 20_000 },
  );
  assert.equal(returnPath('/beamway/device?user_code=AB#x', '/home'), '/beamway/device?user_code=AB#x');
  assert.equal(returnPath(undefined, '/home'), '/home');
  assert.equal(returnPath(`/${'a'.repeat(3000)}`, '/home'), '/home');
});

test('whatever claims hold, the person is a plain name with known roles, or nobody', () => {
  const claims = fc.dictionary(
    fc.constantFrom('sub', 'groups', 'amr', 'acr', 'auth_time', 'x'),
    fc.oneof(
      fc.string(),
      fc.constantFrom('ops', 'mfa', '__proto__', 'constructor'),
      fc.integer(),
      fc.array(fc.constantFrom('ops', 'all', 'toString')),
      fc.anything(),
    ),
  );
  fc.assert(
    fc.property(claims, (given) => {
      try {
        const person = personOfClaims(provider, given, NOW);
        assert.match(person.subject, /^[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}$/);
        assert.ok(person.roles.every((r) => ROLES.includes(r)) && person.roles.includes('member'));
        if (person.factorAt !== null) assert.ok(person.factorAt.getTime() <= NOW);
      } catch (thrown) {
        assert.ok(thrown instanceof Problem && thrown.code === 'sign-in-failed', String(thrown));
      }
    }),
    { numRuns: 5000 },
  );
});

test('roles come from the claim’s values, once each, in one order', () => {
  assert.deepEqual(personOfClaims(provider, { sub: 'ada', groups: ['all', 'ops', 'x'] }, NOW).roles, [
    'member',
    'approver',
    'operator',
  ]);
  assert.deepEqual(personOfClaims(provider, { sub: 'ada', groups: 'ops' }, NOW).roles, ['member', 'operator']);
  assert.deepEqual(personOfClaims(provider, { sub: 'ada', groups: ['hasOwnProperty'] }, NOW).roles, ['member']);
});

test('a factor counts from the time at which it was shown, never from a later one', () => {
  const at = (claims: object) => personOfClaims(provider, { sub: 'ada', ...claims }, NOW).factorAt?.getTime() ?? null;
  assert.equal(at({ amr: ['pwd', 'mfa'], auth_time: NOW / 1000 - 60 }), NOW - 60_000);
  assert.equal(at({ acr: 'urn:two', auth_time: NOW / 1000 + 30 }), NOW);
  assert.equal(at({ amr: ['mfa'], auth_time: NOW / 1000 + 3600 }), null);
  assert.equal(at({ amr: ['mfa'] }), null);
  assert.equal(at({ amr: ['pwd'], auth_time: NOW / 1000 }), null);
});

test('an e-mail address names a person only where it is verified', () => {
  const byMail: Provider = { ...provider, subject: { claim: 'email', prefix: '' } };
  assert.throws(() => personOfClaims(byMail, { email: 'ada@example.org' }, NOW), /verified/);
  assert.equal(
    personOfClaims(byMail, { email: 'ada@example.org', email_verified: true }, NOW).subject,
    'ada@example.org',
  );
});

test('a user code is read however it is typed, and nothing else is one', () => {
  for (const typed of ['BCDF-GHJK', 'bcdfghjk', ' bcdf ghjk ', 'BCDF–GHJK', 'b.c.d.f-g.h.j.k'])
    assert.equal(readUserCode(typed), 'BCDFGHJK', typed);
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
      const letters = readUserCode(text);
      if (letters !== undefined) assert.equal(readUserCode(shownUserCode(letters)), letters);
    }),
  );
});

test('state, nonce and verifier of a sign-in differ, and belong to one browser', () => {
  const a = loginSecrets('browser-a', 'state');
  const b = loginSecrets('browser-b', 'state');
  assert.notEqual(a.nonce, a.verifier);
  assert.notEqual(a.verifier, b.verifier);
  assert.match(a.verifier, /^[A-Za-z0-9_-]{43}$/, 'RFC 7636 section 4.1');
});

test('the example facility’s settings are read, and faults are named by line', (t) => {
  const example = loadSignIn(new URL('../../../facility', import.meta.url).pathname);
  assert.deepEqual(
    [example.sessions.browserHours, example.sessions.browserIdleMinutes, example.providers.length],
    [8, 30, 0],
  );
  const directory = mkdtempSync(join(tmpdir(), 'beamway-settings-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const faultsOf = (text: string): string => {
    writeFileSync(join(directory, 'sign-in.yaml'), text);
    try {
      loadSignIn(directory);
      return '';
    } catch (error) {
      assert.ok(error instanceof YamlError);
      return error.message;
    }
  };
  const entry = (name: string, rest = ''): string =>
    `  - { name: ${name}, title: T, issuer: https://idp.example.org, clientId: c, subject: { claim: sub }${rest} }\n`;
  assert.equal(faultsOf(`providers:\n${entry('one')}`), '');
  assert.match(faultsOf(`providers:\n${entry('dev')}`), /sign-in.yaml:2:.*kept for the provider of up --dev/);
  assert.match(faultsOf(`providers:\n${entry('one')}${entry('two')}`), /sign-in.yaml:3:.*its own/);
  assert.match(faultsOf(`providers:\n${entry('one')}${entry('one', '')}`), /there twice/);
  assert.match(faultsOf(`providers:\n${entry('one').replace('https', 'http')}`), /an https URL/);
  assert.equal(faultsOf(`providers:\n${entry('one').replace('https://idp.example.org', 'http://127.0.0.1:9')}`), '');
  assert.match(faultsOf(`providers:\n${entry('one', ', scopes: [profile]')}`), /openid/);
  assert.match(faultsOf(`providers:\n${entry('one', ', clientSecret: x')}`), /unknown field clientSecret/);
  assert.match(faultsOf('sessions: { browserHours: 48 }\n'), /browserHours/);
  assert.match(faultsOf('dev: { accounts: [{ subject: a, name: A, password: x }] }\n'), /unknown field password/);
  rmSync(join(directory, 'sign-in.yaml'));
  assert.equal(loadSignIn(directory).providers.length, 0, 'a facility without the file');
});
