// What comes back from an identity provider is believed only when all of it fits: state, browser, nonce, issuer, audience, signature, time, once.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { sql } from 'kysely';
import { recordsPage } from '../../src/audit/index.ts';
import { fileScope } from './api-server.ts';
import { type Fault, type FaultyProvider, startFaultyProvider } from './faulty-identity-provider.ts';
import { type Browser, openBrowser, type Page, type SignInServer, startSignInServer } from './sign-in-server.ts';

const scope = fileScope();
let s: SignInServer;
let first: FaultyProvider;
let second: FaultyProvider;
let withSecret: FaultyProvider;
let folder = '';

before(async () => {
  // The second does not sign its issuer into its answers: its own redirect URI must do.
  first = await startFaultyProvider(scope, 'first', {
    roles: { claim: 'groups', values: { 'beamway-operators': ['operator'] } },
    secondFactor: { amr: ['mfa'], acr: [] },
  });
  second = await startFaultyProvider(scope, 'second', { signsIssuer: false });
  folder = mkdtempSync(join(tmpdir(), 'beamway-secret-'));
  scope.after(async () => rmSync(folder, { recursive: true }));
  withSecret = await startFaultyProvider(scope, 'with-secret', { clientSecretFile: join(folder, 'secret') });
  s = await startSignInServer(scope, { providers: [first.provider, second.provider, withSecret.provider] });
});

interface Begun {
  readonly browser: Browser;
  readonly state: string;
  readonly nonce: string;
  readonly asked: URL;
}

async function begin(provider = 'first', browser = openBrowser(), returnTo = ''): Promise<Begun> {
  const page = await browser.get(`${s.origin}/beamway/sign-in/${provider}?return=${encodeURIComponent(returnTo)}`);
  const asked = new URL(page.location);
  const of = (name: string): string => asked.searchParams.get(name) ?? '';
  return { browser, asked, state: of('state'), nonce: of('nonce') };
}

function back(browser: Browser, query: Readonly<Record<string, string>>, provider = 'first'): Promise<Page> {
  return browser.get(`${s.origin}/beamway/sign-in/${provider}/callback?${new URLSearchParams(query).toString()}`);
}

const signedIn = (browser: Browser): boolean =>
  [...browser.cookies(s.origin).keys()].some((name) => name.startsWith('bw_session'));
const answerOf = (begun: Begun): Record<string, string> => ({
  code: 'c',
  state: begun.state,
  iss: first.provider.issuer,
});
/** auth_time of now: the first provider is asked for it. */
const seen = (): Record<string, unknown> => ({ auth_time: Math.floor(Date.now() / 1000) });

async function mustFail(page: Page, browser: Browser, what: string): Promise<void> {
  assert.equal(page.status, 400, `${what}: ${page.status} ${page.location}`);
  assert.ok(!signedIn(browser), what);
}

test('all of it right, the person is signed in, with roles and second factor as the provider says', async () => {
  const begun = await begin();
  assert.equal(begun.asked.searchParams.get('code_challenge_method'), 'S256');
  assert.equal(begun.asked.searchParams.get('redirect_uri'), `${s.origin}/beamway/sign-in/first/callback`);
  first.next(begun.nonce, {
    claims: { ...seen(), amr: ['pwd', 'mfa'], groups: ['x', 'beamway-operators', '__proto__'] },
  });
  const page = await back(begun.browser, answerOf(begun));
  assert.equal(page.location, `${s.origin}/beamway/sessions`);
  const sessions = await begun.browser.follow(page.location);
  assert.match(sessions.text, /<strong>first:mallory<\/strong> \(operator\)/);
  assert.match(sessions.text, /second factor there/);
  const verifier = first.verifiers.at(-1) ?? '';
  assert.equal(
    createHash('sha256').update(verifier).digest('base64url'),
    begun.asked.searchParams.get('code_challenge'),
  );
});

test('an id token that is wrong in any one thing signs nobody in', async (t) => {
  const now = Math.floor(Date.now() / 1000);
  const faults: Readonly<Record<string, Fault>> = {
    'another nonce': { claims: { ...seen(), nonce: 'n' } },
    'no nonce': { claims: { ...seen(), nonce: undefined } },
    'another audience': { claims: { ...seen(), aud: 'another-client' } },
    'one of two audiences, without azp': { claims: { ...seen(), aud: ['beamway', 'another'] } },
    'another authorized party': { claims: { ...seen(), aud: ['beamway', 'another'], azp: 'another' } },
    'another issuer': { claims: { ...seen(), iss: 'https://evil.example' } },
    'algorithm none': { claims: seen(), signature: 'none' },
    'signed with a secret': { claims: seen(), signature: 'our secret' },
    'signed with another key': { claims: seen(), signature: 'another key' },
    'of an unknown key': { claims: seen(), signature: 'another kid' },
    expired: { claims: { ...seen(), exp: now - 120 } },
    'issued in the future': { claims: { ...seen(), nbf: now + 600 } },
    'no subject': { claims: { ...seen(), sub: undefined } },
    'a subject that is no name': { claims: { ...seen(), sub: '../root\n' } },
    'a subject that is a number': { claims: { ...seen(), sub: 7 } },
    'signed on too long ago': { claims: { auth_time: now - 100_000 } },
    'no time of signing on, though asked for': {},
    'no id token': { noIdToken: true },
    'a code that the provider does not know': { status: 400 },
  };
  for (const [what, fault] of Object.entries(faults))
    await t.test(what, async () => {
      const begun = await begin();
      first.next(begun.nonce, fault);
      await mustFail(await back(begun.browser, answerOf(begun)), begun.browser, what);
    });
});

test('a second factor counts only with the time at which it was shown, and only as configured', async () => {
  for (const [i, claims] of [{ amr: ['pwd'] }, { amr: 'otp' }, { acr: 'mfa' }].entries()) {
    const begun = await begin();
    first.next(begun.nonce, { claims: { ...seen(), ...claims, sub: `one-factor-${i}` } });
    const page = await back(begun.browser, answerOf(begun));
    assert.doesNotMatch((await begun.browser.follow(page.location)).text, /second factor there/);
  }
});

test('a wrong or missing state, code or issuer signs nobody in', async (t) => {
  const wrong: Readonly<Record<string, (right: Record<string, string>) => Record<string, string>>> = {
    'another state': (r) => ({ ...r, state: 'another' }),
    'no state': ({ state: _, ...r }) => r,
    'no code': ({ code: _, ...r }) => r,
    'mix-up: the issuer of another provider': (r) => ({ ...r, iss: second.provider.issuer }),
    'no issuer, though this provider always says it': ({ iss: _, ...r }) => r,
    'an error in place of a code': ({ code: _, ...r }) => ({ ...r, error: 'access_denied' }),
    'an error that is markup': ({ code: _, ...r }) => ({ ...r, error: '<script>alert(1)</script>' }),
    'an answer in a token': (r) => ({ ...r, response: 'eyJhbGciOiJub25lIn0.e30.' }),
  };
  for (const [what, change] of Object.entries(wrong))
    await t.test(what, async () => {
      const begun = await begin();
      first.next(begun.nonce, { claims: seen() });
      const page = await back(begun.browser, change(answerOf(begun)));
      await mustFail(page, begun.browser, what);
      assert.doesNotMatch(page.text, /<script>alert/);
    });
});

test('mix-up: an answer at another provider’s address is refused, also where that one says no issuer', async () => {
  const begun = await begin();
  second.next(begun.nonce);
  await mustFail(await back(begun.browser, { code: 'c', state: begun.state }, 'second'), begun.browser, 'mixed up');
  const other = await begin('second');
  first.next(other.nonce, { claims: seen() });
  await mustFail(await back(other.browser, answerOf(other)), other.browser, 'mixed up the other way');
});

test('another browser’s answer is refused, and the rightful browser may still come back', async () => {
  const begun = await begin();
  first.next(begun.nonce, { claims: seen() });
  for (const stranger of [openBrowser(), (await begin()).browser])
    await mustFail(await back(stranger, answerOf(begun)), stranger, 'another browser');
  assert.equal((await back(begun.browser, answerOf(begun))).status, 303);
});

test('a client secret comes from a file of which nobody else can read', async () => {
  const path = join(folder, 'secret');
  writeFileSync(path, 'a secret:with?signs\n', { mode: 0o644 });
  assert.equal((await openBrowser().get(`${s.origin}/beamway/sign-in/with-secret`)).status, 503);
  chmodSync(path, 0o600);
  const begun = await begin('with-secret');
  withSecret.next(begun.nonce);
  const answer = { code: 'c', state: begun.state, iss: withSecret.provider.issuer };
  assert.equal((await back(begun.browser, answer, 'with-secret')).status, 303);
  const shown = withSecret.authorizations.find((text) => text.startsWith('Basic ')) ?? '';
  // RFC 6749 section 2.3.1: both halves form-encoded first.
  assert.equal(Buffer.from(shown.slice(6), 'base64').toString(), 'beamway:a+secret%3Awith%3Fsigns');
});

test('an answer that comes again is refused', async () => {
  const begun = await begin();
  first.next(begun.nonce, { claims: seen() });
  const cookies = new Map(begun.browser.cookies(s.origin));
  assert.equal((await back(begun.browser, answerOf(begun))).status, 303);
  const again = openBrowser();
  for (const [name, value] of cookies) again.setCookie(s.origin, name, value);
  await mustFail(await back(again, answerOf(begun)), again, 'replayed');
});

test('an answer that failed once is not tried again', async () => {
  const begun = await begin();
  first.next(begun.nonce, { status: 400 });
  await mustFail(await back(begun.browser, answerOf(begun)), begun.browser, 'first');
  first.next(begun.nonce, { claims: seen() });
  await mustFail(await back(begun.browser, answerOf(begun)), begun.browser, 'second');
});

test('an answer after more than ten minutes is refused', async () => {
  const begun = await begin();
  first.next(begun.nonce, { claims: seen() });
  await sql`update identity_login set expires_at = expires_at - interval '10 minutes'`.execute(s.database.kysely);
  await mustFail(await back(begun.browser, answerOf(begun)), begun.browser, 'late');
});

test('afterwards the browser stays with us, whatever the way back said', async () => {
  for (const evil of [
    '//evil.example',
    'https://evil.example/',
    '/\\evil.example',
    '/beamway/..//evil.example',
    '/\t/evil.example',
  ]) {
    const begun = await begin('first', openBrowser(), evil);
    first.next(begun.nonce, { claims: seen() });
    assert.equal(new URL((await back(begun.browser, answerOf(begun))).location).origin, s.origin, evil);
  }
});

test('whatever stands in the query, the answer is a page and nobody is signed in', async () => {
  const begun = await begin();
  const name = fc.oneof(
    fc.constantFrom('code', 'state', 'iss', 'error', 'error_description', 'response', 'id_token', 'session_state'),
    fc.string(),
  );
  const value = fc.oneof(
    fc.constant(begun.state),
    fc.constant(first.provider.issuer),
    fc.string({ unit: 'binary', maxLength: 300 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, value), { maxLength: 6 }), async (pairs) => {
      const query = new URLSearchParams(pairs).toString();
      first.next('not this one', { claims: seen() });
      const page = await begun.browser.get(`${s.origin}/beamway/sign-in/first/callback?${query}`);
      assert.equal(page.status, 400, query);
      assert.ok(!signedIn(begun.browser));
    }),
    { numRuns: 150 },
  );
});

test('what failed is counted in the audit log, by address, and no secret stands there', async () => {
  await s.stop();
  const records = await recordsPage(s.database.kysely, { limit: 1000 });
  const failed = records.filter((r) => r.action === 'sign-in.finish' && r.phase === 'denied');
  const times = failed.reduce((sum, r) => sum + Number(r.detail['times']), 0);
  assert.ok(times > 150, `${times} counted`);
  assert.ok(failed.length <= 2, `${failed.length} records`);
  assert.doesNotMatch(JSON.stringify(records), /bws_[0-9a-z]{50}|eyJ/);
});
