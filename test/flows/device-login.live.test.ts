// Device codes (RFC 8628) over HTTP: asked for by anybody, confirmed by a signed-in person, answered once.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sql } from 'kysely';
import { recordsPage } from '../../src/audit/index.ts';
import { askServer, fileScope, type Reply } from './api-server.ts';
import { type Browser, openBrowser, type Page, type SignInServer, startSignInServer } from './sign-in-server.ts';

const scope = fileScope();
let s: SignInServer;
let grace: Browser;

before(async () => {
  s = await startSignInServer(scope);
  grace = openBrowser();
  await s.signIn(grace, 'grace');
});

interface Codes {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri_complete: string;
  readonly interval: number;
}

async function start(stepUp = false): Promise<Codes> {
  const body = stepUp ? { step_up: true } : {};
  const reply = await askServer(s.server.url, '/beamway/v1/login/device', { method: 'POST', body });
  assert.equal(reply.status, 200, reply.text);
  return reply.body as unknown as Codes;
}

const poll = (codes: Codes): Promise<Reply> =>
  askServer(s.server.url, '/beamway/v1/login/token', { method: 'POST', body: { device_code: codes.device_code } });

async function decide(browser: Browser, codes: Codes, decision: 'approve' | 'deny'): Promise<Page> {
  const page = await browser.follow(codes.verification_uri_complete);
  assert.match(page.text, new RegExp(codes.user_code));
  return browser.submit(page, { user_code: codes.user_code, decision });
}

/** As though the interval had passed. */
const wait = (): Promise<unknown> =>
  sql`update identity_device_login set polled_at = polled_at - interval '1 minute'`.execute(s.database.kysely);

test('a confirmed code gives the person’s session, once', async () => {
  const codes = await start();
  assert.match(codes.user_code, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
  assert.deepEqual((await poll(codes)).code, 'authorization-pending');
  const done = await decide(grace, codes, 'approve');
  assert.match(done.text, /signed in as <strong>grace/);
  const reply = await poll(codes);
  assert.equal(reply.status, 200, reply.text);
  assert.deepEqual([reply.body['subject'], reply.body['roles']], ['grace', ['member', 'approver']]);
  const self = await askServer(s.server.url, '/beamway/v1/self', { bearer: String(reply.body['access_token']) });
  assert.deepEqual([self.status, self.body['subject']], [200, 'grace']);
  const again = await poll(codes);
  assert.deepEqual([again.status, again.code], [400, 'login-expired']);
  assert.match((await grace.follow(`${s.origin}/beamway/sessions`)).text, /Command line/);
  const records = await recordsPage(s.database.kysely, { limit: 100, action: 'login.issued' });
  assert.deepEqual([records.length, records[0]?.subject, records[0]?.callerId], [1, 'grace', reply.body['id']]);
});

test('two polls at the same moment give one session', async () => {
  const codes = await start();
  await decide(grace, codes, 'approve');
  const replies = await Promise.all([poll(codes), poll(codes), poll(codes)]);
  assert.deepEqual(replies.map((r) => r.status).sort(), [200, 400, 400]);
});

test('whoever asks too often is told to slow down, and is still answered afterwards', async () => {
  const codes = await start();
  await poll(codes);
  assert.equal((await poll(codes)).code, 'slow-down');
  await wait();
  assert.equal((await poll(codes)).code, 'authorization-pending');
  const { rows } = await sql<{
    interval_seconds: number;
  }>`select interval_seconds from identity_device_login where state = 'pending' order by created_at desc limit 1`.execute(
    s.database.kysely,
  );
  assert.equal(rows[0]?.interval_seconds, codes.interval + 5);
});

test('a code that the person refuses gives nothing', async () => {
  const codes = await start();
  assert.match((await decide(grace, codes, 'deny')).text, /refused/);
  assert.equal((await poll(codes)).code, 'login-denied');
  assert.match((await grace.follow(codes.verification_uri_complete)).text, /No sign-in waits/);
});

test('a code that nobody confirmed in ten minutes gives nothing', async () => {
  const codes = await start();
  await sql`update identity_device_login set expires_at = expires_at - interval '10 minutes' where state = 'pending'`.execute(
    s.database.kysely,
  );
  assert.match((await grace.follow(codes.verification_uri_complete)).text, /No sign-in waits/);
  assert.equal((await poll(codes)).code, 'login-expired');
});

test('a person who signed out after confirming gives nothing any more', async () => {
  const ada = openBrowser();
  const home = await s.signIn(ada, 'ada');
  const codes = await start();
  await decide(ada, codes, 'approve');
  await ada.submit(home, {}, '/beamway/sign-out');
  assert.equal((await poll(codes)).code, 'login-denied');
});

test('where a fresh second factor was asked for, the page demands it before the code can be confirmed', async () => {
  const codes = await start(true);
  const asked = await grace.get(codes.verification_uri_complete);
  assert.equal(
    asked.location,
    `${s.origin}/beamway/factor?return=${encodeURIComponent(`/beamway/device?user_code=${codes.user_code}`)}`,
  );
  const home = await grace.follow(`${s.origin}/beamway/sessions`);
  const forced = await grace.submit(
    home,
    { user_code: codes.user_code, decision: 'approve' },
    '/beamway/device/decision',
  );
  assert.equal(forced.status, 403);
  assert.equal((await poll(codes)).code, 'authorization-pending');
});

test('a factor that was shown in the browser reaches only a command line that asked for it, as its page says', async () => {
  const heidi = openBrowser();
  await s.signIn(heidi, 'grace');
  const show = async (): Promise<void> => {
    const db = s.database.kysely;
    await sql`update identity_token set factor_at = now(), methods = array['oidc', 'totp'] where browser is not null`.execute(
      db,
    );
    // Replicas forget the session as it was within one reading of the epoch.
    await sql`update identity_epoch set value = value + 1`.execute(db);
  };
  const held = async (stepUp: boolean): Promise<unknown> => {
    const codes = await start(stepUp);
    await show();
    const end = performance.now() + 10_000;
    let reply = await poll(codes);
    while (reply.status !== 200) {
      assert.ok(performance.now() < end, 'the factor was never seen');
      const page = await heidi.follow(codes.verification_uri_complete);
      if (page.text.includes('name="decision"'))
        await heidi.submit(page, { user_code: codes.user_code, decision: 'approve' });
      await new Promise((resolve) => setTimeout(resolve, 50));
      await wait();
      reply = await poll(codes);
    }
    const { id } = reply.body;
    const { rows } = await sql<{ methods: string[]; shown: boolean }>`
      select methods, factor_at is not null as shown from identity_token where id = ${String(id)}`.execute(
      s.database.kysely,
    );
    return rows[0];
  };
  assert.deepEqual(await held(true), { methods: ['oidc', 'totp'], shown: true });
  assert.deepEqual(await held(false), { methods: ['oidc'], shown: false });
});

test('the page says from where the code was asked for, and warns', async () => {
  const codes = await start();
  const page = await grace.follow(codes.verification_uri_complete);
  assert.match(page.text, /127\.0\.0\.1/);
  assert.match(page.text, /Confirm only what you began yourself/);
});

test('codes and states are in the database as digests only', async () => {
  const codes = await start();
  const { rows } = await sql`select * from identity_device_login`.execute(s.database.kysely);
  const text = JSON.stringify(rows, (_key, value: unknown) =>
    Buffer.isBuffer(value) ? value.toString('latin1') : value,
  );
  assert.ok(!text.includes(codes.device_code) && !text.includes(codes.user_code.replace('-', '')));
});

test('wrong codes are bounded per person, whichever browser they use', async () => {
  const otto = openBrowser();
  await s.signIn(otto, 'otto');
  const statuses: number[] = [];
  for (let i = 0; i < 11; i++)
    statuses.push((await otto.get(`${s.origin}/beamway/device?user_code=BBBB-BBB${'BCDFGHJKLMN'[i]}`)).status);
  assert.deepEqual(statuses, [...Array<number>(10).fill(404), 429]);
  const another = openBrowser();
  await s.signIn(another, 'otto');
  const codes = await start();
  assert.equal((await another.get(codes.verification_uri_complete)).status, 429);
  assert.equal((await grace.get(codes.verification_uri_complete)).status, 200);
});

test('no address begins sign-ins without end', async () => {
  const begin = (): Promise<Reply> => askServer(s.server.url, '/beamway/v1/login/device', { method: 'POST', body: {} });
  const replies = await Promise.all(Array.from({ length: 300 }, begin));
  const refused = replies.filter((reply) => reply.status === 429);
  assert.ok(refused.length > 0 && refused.length < 300, `${refused.length} refused`);
  assert.ok(refused.every((reply) => Number(reply.headers.get('retry-after')) >= 1));
});
