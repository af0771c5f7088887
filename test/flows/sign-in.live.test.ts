// Signing in with a real OpenID provider, over HTTP: sessions bound to a browser, forms only from our pages, idle ends, sign-ins listed and ended.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sql } from 'kysely';
import { recordsPage } from '../../src/audit/index.ts';
import { askServer, fileScope } from './api-server.ts';
import { csrfOf, openBrowser, type SignInServer, startSignInServer } from './sign-in-server.ts';

const scope = fileScope();
let s: SignInServer;

before(async () => {
  s = await startSignInServer(scope);
});

const at = (path: string): string => `${s.origin}/beamway/${path}`;
const cookieName = (name: string): string => `${name}_${new URL(s.origin).port}`;

test('a person signs in with the provider and lands where they wanted to be', async () => {
  const browser = openBrowser();
  const asked = await browser.get(at('device?user_code=BCDF-GHJK'));
  assert.equal(asked.location, at(`sign-in?return=${encodeURIComponent('/beamway/device?user_code=BCDF-GHJK')}`));
  const choice = await browser.follow(asked.location);
  assert.match(choice.text, /Sign in with a development account/);
  const landed = await s.signIn(browser, 'grace', '/beamway/device?user_code=BCDF-GHJK');
  assert.equal(landed.url, at('device?user_code=BCDF-GHJK'));
  const sessions = await browser.follow(at('sessions'));
  assert.match(sessions.text, /signed in as <strong>grace<\/strong> \(approver\)/);
  assert.match(sessions.text, /Firefox 142 on Linux/);
  const records = await recordsPage(s.database.kysely, { limit: 100, action: 'sign-in.done' });
  assert.deepEqual(records[0]?.subject, 'grace');
  assert.deepEqual(records[0]?.detail['methods'], ['local']);
});

test('the session of a browser is believed in that browser only, and in no Authorization header', async () => {
  const browser = openBrowser();
  await s.signIn(browser, 'ada');
  const bearer = browser.cookies(s.origin).get(cookieName('bw_session')) ?? '';
  assert.match(bearer, /^bws_/);
  const asHeader = await askServer(s.server.url, '/beamway/v1/self', { bearer });
  assert.deepEqual([asHeader.status, asHeader.code], [401, 'token-unknown']);
  const thief = openBrowser();
  await thief.get(at('sign-in'));
  thief.setCookie(s.origin, cookieName('bw_session'), bearer);
  assert.match((await thief.get(at('sessions'))).location, /\/beamway\/sign-in\?return=/);
  assert.equal(
    thief.cookies(s.origin).has(cookieName('bw_session')),
    false,
    'a cookie that stands for nothing is taken away',
  );
  assert.equal((await browser.get(at('sessions'))).status, 200, 'the rightful one still holds');
});

test('a bearer that was issued without a browser is not believed as a cookie', async () => {
  const { issueSession } = await import('../../src/identity/index.ts');
  const { value } = await issueSession(s.server.issue, {
    subject: 'eve',
    roles: ['administrator'],
    lifetimeSeconds: 60,
    by: 'test',
  });
  const browser = openBrowser();
  await browser.get(at('sign-in'));
  browser.setCookie(s.origin, cookieName('bw_session'), value);
  assert.match((await browser.get(at('sessions'))).location, /sign-in/);
});

test('every page carries the strict headers, and no cookie can be read by a script', async () => {
  const browser = openBrowser();
  await s.signIn(browser, 'ada');
  for (const path of [
    'sign-in',
    'sign-in?signed-out=yes',
    'sessions',
    'device',
    'sign-in/none',
    'sign-in/dev/callback',
    'pages.css',
  ]) {
    const page = await browser.get(at(path));
    const policy = page.headers.get('content-security-policy') ?? '';
    for (const part of [
      "default-src 'none'",
      "style-src 'self'",
      "script-src 'self'",
      "frame-ancestors 'none'",
      "form-action 'self'",
    ])
      assert.ok(policy.includes(part), `${path}: ${policy}`);
    assert.equal(page.headers.get('x-content-type-options'), 'nosniff', path);
    assert.equal(page.headers.get('referrer-policy'), 'same-origin', path);
    assert.equal(page.headers.get('cache-control'), 'no-store', path);
    for (const cookie of page.headers.getSetCookie()) assert.match(cookie, /; HttpOnly; SameSite=Lax/);
    assert.doesNotMatch(page.text, /bws_[0-9a-z]{20}/);
    assert.ok(!page.text.includes(browser.cookies(s.origin).get(cookieName('bw_browser')) ?? 'none'), path);
  }
});

test('a form is taken from our own pages only, with the token of that browser', async () => {
  const browser = openBrowser();
  const home = await s.signIn(browser, 'ada');
  const good = new URLSearchParams({ csrf: csrfOf(home) }).toString();
  const refused: readonly (readonly [string, string, Record<string, string>])[] = [
    ['no token', '', {}],
    ['another token', 'csrf=x', {}],
    ['a token of the right length', `csrf=${'A'.repeat(43)}`, {}],
    ['another origin', good, { origin: 'https://evil.example' }],
    ['the origin null', good, { origin: 'null' }],
    ['another port', good, { origin: 'http://localhost:1' }],
    ['another site by its own words', good, { 'sec-fetch-site': 'cross-site' }],
    ['a sibling host', good, { 'sec-fetch-site': 'same-site' }],
    ['the same field twice', `${good}&${good}`, {}],
  ];
  for (const [what, body, headers] of refused) {
    const page = await browser.post(at('sign-out'), body, headers);
    assert.ok(page.status === 403 || page.status === 400, `${what}: ${page.status}`);
  }
  const json = await browser.post(at('sign-out'), '{}', { 'content-type': 'application/json' });
  assert.equal((JSON.parse(json.text) as { code: string }).code, 'foreign-form');
  const text = await browser.post(at('sign-out'), good, { 'content-type': 'text/plain' });
  assert.ok(text.status >= 400 && text.status < 500);
  assert.equal((await browser.get(at('sessions'))).status, 200, 'still signed in');
});

test('signing out ends the session on the server, not only in the browser', async () => {
  const browser = openBrowser();
  const home = await s.signIn(browser, 'ada');
  const before = new Map(browser.cookies(s.origin));
  const out = await browser.submit(home, {}, '/beamway/sign-out');
  assert.match(out.text, /You are signed out/);
  for (const [name, value] of before) browser.setCookie(s.origin, name, value);
  assert.match((await browser.get(at('sessions'))).location, /sign-in/);
});

test('signing in again ends the session before it and makes a new browser secret', async () => {
  const browser = openBrowser();
  await s.signIn(browser, 'ada');
  const first = new Map(browser.cookies(s.origin));
  // The provider asks again only after its own session ended; this browser forgets it.
  for (const origin of [s.accounts.provider.issuer])
    for (const name of [...browser.cookies(origin).keys()])
      (browser.cookies(origin) as Map<string, string>).delete(name);
  await s.signIn(browser, 'grace');
  assert.notEqual(browser.cookies(s.origin).get(cookieName('bw_browser')), first.get(cookieName('bw_browser')));
  const old = openBrowser();
  for (const [name, value] of first) old.setCookie(s.origin, name, value);
  assert.match((await old.get(at('sessions'))).location, /sign-in/);
});

test('a session that nobody used for half an hour has ended', async () => {
  const browser = openBrowser();
  await s.signIn(browser, 'otto');
  await sql`update identity_sign_in set last_seen_at = last_seen_at - interval '29 minutes'`.execute(s.database.kysely);
  assert.equal((await browser.get(at('sessions'))).status, 200);
  await sql`update identity_sign_in set last_seen_at = last_seen_at - interval '31 minutes'`.execute(s.database.kysely);
  assert.match((await browser.get(at('sessions'))).location, /sign-in/);
  const { rows } = await sql<{
    revoked_by: string;
  }>`select revoked_by from identity_token where subject = 'otto'`.execute(s.database.kysely);
  assert.deepEqual(
    rows.map((r) => r.revoked_by),
    ['idle'],
  );
});

test('whom the facility has let go is told so, and is not signed in', async () => {
  const of = ['test', 'ruth', new Date(), new Date(), 'Ruth', 'disabled', []] as const;
  const columns = sql.raw('source, subject, since, changed_at, name, state, roles');
  await sql`insert into identity_person (${columns}) values (${sql.join(of)})`.execute(s.database.kysely);
  const browser = openBrowser();
  const page = await s.signIn(browser, 'ruth');
  assert.match(page.text, /ruth is disabled at this facility/);
  assert.equal(browser.cookies(s.origin).has(cookieName('bw_session')), false);
  await sql`delete from identity_person`.execute(s.database.kysely);
});

test('a person ends their other sign-ins, and nobody else’s', async () => {
  const here = openBrowser();
  const there = openBrowser();
  const stranger = openBrowser();
  await s.signIn(there, 'ruth');
  await s.signIn(stranger, 'grace');
  const list = await s.signIn(here, 'ruth');
  const [mine = '', other = ''] = [...list.text.matchAll(/sessions\/(tok_[0-9a-z]+)\/revoke/g)].map((m) => m[1] ?? '');
  assert.match(list.text, /this one/);
  const theirs = await stranger.follow(at('sessions'));
  const refused = await stranger.submit(theirs, {}, `/beamway/sessions/${other}/revoke`);
  assert.equal(refused.status, 404);
  assert.equal((await there.get(at('sessions'))).status, 200);
  const after = await here.submit(list, {}, `/beamway/sessions/${other}/revoke`);
  assert.ok(!after.text.includes(other));
  assert.match((await there.get(at('sessions'))).location, /sign-in/);
  const own = await here.submit(after, {}, `/beamway/sessions/${mine}/revoke`);
  assert.match(own.text, /You are signed out/);
  const records = await recordsPage(s.database.kysely, { limit: 100, action: 'session.revoke' });
  assert.deepEqual(records.map((r) => `${r.phase} ${r.subject}`).toReversed(), [
    'intent grace',
    'denied grace',
    'intent ruth',
    'outcome ruth',
    'intent ruth',
    'outcome ruth',
  ]);
});

test('what people type leads to the sign-in', async () => {
  for (const path of ['', 'beamway', 'beamway/'])
    assert.match((await openBrowser().follow(`${s.origin}/${path}`)).text, /Sign in to Example Facility/, path);
});

test('by another name of this machine the browser is sent to the one that the provider knows', async () => {
  const page = await openBrowser().get(`${s.server.url}/beamway/sign-in?return=%2Fbeamway%2Fdevice`);
  assert.equal(page.location, at('sign-in?return=%2Fbeamway%2Fdevice'));
  assert.deepEqual(page.headers.getSetCookie(), []);
});

test('behind TLS the cookies are Secure and of our host alone', async (t) => {
  const tls = await startSignInServer(t, { publicUrl: 'https://beamway.example.org' });
  const page = await openBrowser().get(`${tls.server.url}/beamway/sign-in`);
  const [cookie = ''] = page.headers.getSetCookie();
  assert.match(cookie, /^__Host-bw_browser=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure$/);
  const begun = await openBrowser().get(`${tls.server.url}/beamway/sign-in/dev`);
  assert.equal(
    new URL(begun.location).searchParams.get('redirect_uri'),
    'https://beamway.example.org/beamway/sign-in/dev/callback',
  );
});

test('no address begins sign-ins without end', async () => {
  const pages = await Promise.all(Array.from({ length: 300 }, () => openBrowser().get(at('sign-in/dev'))));
  const refused = pages.filter((page) => page.status === 429);
  assert.ok(refused.length > 0 && refused.length < 300, `${refused.length} refused`);
  assert.ok(refused.every((page) => Number(page.headers.get('retry-after')) >= 1));
});
