/** The pure parts: codes as they are typed, what browsers send, sealed secrets, the file of keys, who we are to a passkey, who may change factors. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../../problems.ts';
import { changeFault, factorName, LONGEST_NAME } from './factor.ts';
import { type FactorKeys, readFactorKeys } from './factor-keys.ts';
import { parseAssertion, parseClientData, parseRegistration } from './passkey-response.ts';
import { newRecoveryCode, parseCode } from './recovery-code.ts';
import { relyingParty } from './relying-party.ts';
import { seal, unseal } from './seal-secret.ts';

const MINUTE_MS = 60_000;

test('six digits are a code of an app, however they are grouped', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999 }), fc.constantFrom('', ' ', '-', ' - '), (number, gap) => {
      const code = String(number).padStart(6, '0');
      const typed = ` ${code.slice(0, 3)}${gap}${code.slice(3)}`;
      assert.deepEqual(parseCode(typed), { method: 'totp', code });
    }),
  );
});

test('a recovery code is read back from paper, in capitals, and with letters that look alike', () => {
  for (let i = 0; i < 200; i++) {
    const shown = newRecoveryCode();
    const code = shown.replaceAll('-', '');
    const spellings = [shown, shown.toUpperCase(), code, shown.replaceAll('-', ' '), shown.replaceAll('1', 'I')];
    for (const typed of [...spellings, shown.replaceAll('0', 'o').replaceAll('1', 'L')])
      assert.deepEqual(parseCode(typed), { method: 'recovery-code', code });
  }
});

test('whatever else is typed is no code, and no text makes the parser throw', () => {
  for (const typed of [
    '',
    '12345',
    '1234567',
    '１２３４５６',
    'u'.repeat(16),
    '0'.repeat(17),
    ' '.repeat(1e6),
    '12345a',
  ])
    assert.equal(parseCode(typed), undefined);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (typed) => {
      const parsed = parseCode(typed);
      if (parsed?.method === 'totp') assert.match(parsed.code, /^[0-9]{6}$/);
      if (parsed?.method === 'recovery-code') assert.match(parsed.code, /^[0-9a-hjkmnp-tv-z]{16}$/);
    }),
  );
});

test('what a browser sends is a passkey’s answer or is refused as a whole, never anything else', () => {
  const parsers = [
    parseRegistration,
    parseAssertion,
    (given: unknown) => parseClientData(typeof given === 'string' ? given : ''),
  ];
  const right = {
    id: 'AAAA',
    rawId: 'AAAA',
    type: 'public-key',
    response: { clientDataJSON: 'e30', attestationObject: 'AA', authenticatorData: 'AA', signature: 'AA' },
  };
  const field = fc.constantFrom('id', 'rawId', 'type', 'response');
  const bent = fc.tuple(field, fc.anything()).map(([name, value]) => ({ ...right, [name]: value }));
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.json(), bent), (given) => {
      for (const parse of parsers) {
        try {
          parse(given);
        } catch (thrown) {
          assert.ok(thrown instanceof Problem && thrown.code === 'invalid-request', String(thrown));
          assert.equal(thrown.message, 'This is no answer of a passkey.');
        }
      }
    }),
  );
  assert.equal(parseRegistration(right).response.transports.length, 0);
  assert.throws(() => parseAssertion({ ...right, id: 'A'.repeat(1401) }), Problem);
});

test('client data gives challenge and origin; what is no JSON of that shape is refused', () => {
  const data = { type: 'webauthn.get', challenge: 'abc', origin: 'http://localhost:1', crossOrigin: false };
  const of = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { crossOrigin: _, ...kept } = data;
  assert.deepEqual(parseClientData(of(data)), kept);
  for (const wrong of ['', 'AAAA', of(null), of([]), of({ ...data, challenge: 'a b' }), of({ ...data, origin: 1 })])
    assert.throws(() => parseClientData(wrong), Problem);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.throws(() => parseClientData(Buffer.from(bytes).toString('base64url')), Problem);
    }),
  );
});

const oneKey = (id = 'a'): FactorKeys => ({ current: id, keys: new Map([[id, randomBytes(32)]]) });

test('a sealed secret opens for whom it was sealed, with its key, unchanged, and in no other way', () => {
  const keys = oneKey();
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.nat(), (text, boundTo, at) => {
      const sealed = seal(keys, text.toWellFormed(), boundTo.toWellFormed());
      assert.equal(unseal(keys, sealed, boundTo.toWellFormed()), text.toWellFormed());
      assert.throws(() => unseal(keys, sealed, `${boundTo.toWellFormed()}x`));
      assert.throws(() => unseal(oneKey(), sealed, boundTo.toWellFormed()));
      const bent = Buffer.from(sealed.bytes);
      const index = at % bent.length;
      bent[index] = (bent[index] ?? 0) ^ 1;
      assert.throws(() => unseal(keys, { ...sealed, bytes: bent }, boundTo.toWellFormed()));
      assert.throws(() => unseal(keys, { ...sealed, bytes: bent.subarray(0, index) }, boundTo.toWellFormed()));
    }),
  );
  assert.throws(() => unseal(oneKey('b'), seal(keys, 'x', 'y'), 'y'), /key a is not in the file/);
});

function keyFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'beamway-keys-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'factor-keys.json');
}

test('the file of keys is made once, for its owner alone, and nothing is left beside it', (t) => {
  const path = keyFile(t);
  const made = readFactorKeys(path);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readFactorKeys(path), made);
  assert.deepEqual(readdirSync(join(path, '..')), ['factor-keys.json']);
});

test('a file of keys that others can read, or that is damaged, is refused and not replaced', (t) => {
  const path = keyFile(t);
  readFactorKeys(path);
  chmodSync(path, 0o640);
  assert.throws(() => readFactorKeys(path), /chmod 600/);
  chmodSync(path, 0o600);
  const whole = readFileSync(path, 'utf8');
  const short = JSON.stringify({ current: 'k', keys: { k: 'c2hvcnQ=' } });
  for (const text of ['', '{', whole.slice(0, -5), '{"current":"k","keys":{}}', short]) {
    writeFileSync(path, text);
    assert.throws(
      () => readFactorKeys(path),
      (error: Error) => !error.message.includes('c2hvcnQ'),
    );
    assert.equal(readFileSync(path, 'utf8'), text);
  }
});

test('to a passkey we are our host name behind TLS, and localhost on loopback', () => {
  for (const [origin, id, at] of [
    ['https://beamway.example.org', 'beamway.example.org', 'https://beamway.example.org'],
    ['https://beamway.example.org:8443', 'beamway.example.org', 'https://beamway.example.org:8443'],
    ['http://localhost:8080', 'localhost', 'http://localhost:8080'],
    ['http://127.0.0.1:8080', 'localhost', 'http://localhost:8080'],
    ['http://[::1]:8080', 'localhost', 'http://localhost:8080'],
  ] as const)
    assert.deepEqual(relyingParty(origin), { id, origin: at });
  for (const origin of ['https://192.0.2.7', 'https://[2001:db8::1]', 'http://beamway.example.org'])
    assert.equal(relyingParty(origin), undefined);
});

test('factors are changed soon after one was shown, the first one soon after signing in', () => {
  const now = 1_000 * MINUTE_MS;
  const facts = { factors: 1, signedInAt: now, factorAt: now - 5 * MINUTE_MS };
  assert.equal(changeFault(facts, now), undefined);
  assert.equal(changeFault(facts, now + 1), 'show-factor');
  assert.equal(changeFault({ ...facts, factorAt: null }, now), 'show-factor');
  const first = { factors: 0, signedInAt: now - 10 * MINUTE_MS, factorAt: null };
  assert.equal(changeFault(first, now), undefined);
  assert.equal(changeFault(first, now + 1), 'sign-in-again');
});

test('a name is one short line, and never empty', () => {
  assert.equal(factorName('  Key \n on\u202e my ring ', 'x'), 'Key on my ring');
  assert.equal(factorName('\u0000\t', 'Passkey'), 'Passkey');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const name = factorName(text, 'Passkey');
      assert.ok(name.length > 0 && [...name].length <= LONGEST_NAME && !/\p{C}/u.test(name) && name === name.trim());
    }),
  );
});
