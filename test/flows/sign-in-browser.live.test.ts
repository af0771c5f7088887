// The whole way as a person walks it: the real command line and a real browser, signing in, confirming a code, ending sign-ins, signing out.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chmodSync, constants, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Browser, chromium, type Page } from 'playwright-core';
import { fileScope } from './api-server.ts';
import { type SignInServer, startSignInServer } from './sign-in-server.ts';
import { LAUNCHER } from './start-beamway.ts';

const CHROMIUM = '/usr/bin/chromium';
const absent = (() => {
  try {
    accessSync(CHROMIUM, constants.X_OK);
    return false;
  } catch {
    return `${CHROMIUM} is not here`;
  }
})();

const scope = fileScope();
let s: SignInServer;
let browser: Browser;
let home = '';

before(async () => {
  if (absent !== false) return;
  s = await startSignInServer(scope);
  home = mkdtempSync(join(tmpdir(), 'beamway-home-'));
  const arguments_ = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  browser = await chromium.launch({ executablePath: CHROMIUM, args: arguments_ });
});
after(async () => {
  await browser?.close();
  if (home !== '') rmSync(home, { recursive: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Also gives what was said so far, as a login waits for a person. */
function beamway(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(LAUNCHER, args, {
    env: { PATH: process.env['PATH'] ?? '', HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text;
  });
  const ended = once(child, 'close').then(([code]): Ran => ({ code: Number(code), ...said }));
  const hasSaid = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const found = pattern.exec(said.err)?.[1];
      if (found !== undefined) return found;
      await Promise.race([once(child.stderr, 'data'), ended.then((ran) => assert.fail(`it ended: ${ran.err}`))]);
    }
  };
  return { ended, hasSaid };
}

async function signIn(page: Page, subject: string): Promise<void> {
  await page.getByRole('link', { name: /Sign in with/ }).click();
  await page.getByLabel('Name').fill(subject);
  await page.getByLabel('Password').fill(s.accounts.logins.find((l) => l.subject === subject)?.password ?? '');
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** A page whose stylesheet loaded and of which nothing was blocked: the content security policy fits what we serve. */
function watch(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return complaints;
}

test('a person signs the command line in with a browser, sees both sign-ins, ends them', {
  skip: absent,
  timeout: 120_000,
}, async (t) => {
  const context = await browser.newContext({ viewport: { width: 375, height: 740 } });
  t.after(() => context.close());
  const page = await context.newPage();
  const complaints = watch(page);
  const login = beamway(['login', '--url', s.server.url, '--json']);
  const url = await login.hasSaid(/(http:\S+user_code=\S+)/);
  await page.goto(url);
  await signIn(page, 'grace');
  assert.equal(page.url(), url, 'back at the code after signing in');
  assert.equal(
    await page.evaluate('getComputedStyle(document.documentElement).colorScheme'),
    'light dark',
    'the stylesheet is there',
  );
  assert.ok(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth'), 'it fits a telephone');
  await page.getByRole('button', { name: /Yes/ }).click();
  await page.getByText('it is signed in as').waitFor();
  const done = await login.ended;
  assert.equal(done.code, 0, done.err);
  assert.equal((JSON.parse(done.out) as { subject: string }).subject, 'grace');
  assert.doesNotMatch(done.out + done.err, /bws_/);
  const profiles = join(home, '.config/beamway/profiles.json');
  assert.equal(statSync(profiles).mode & 0o777, 0o600);
  assert.match(readFileSync(profiles, 'utf8'), /bws_/);

  const who = await beamway(['whoami']).ended;
  assert.equal(who.code, 0, who.err);
  assert.match(who.out, /subject: +grace[\s\S]*roles: +member, approver/);
  await page.getByRole('link', { name: 'your sign-ins', exact: true }).click();
  assert.equal(await page.getByRole('heading', { name: 'Command line' }).count(), 1);
  await page.getByRole('listitem').filter({ hasText: 'Command line' }).getByRole('button').click();
  assert.equal(await page.getByRole('heading', { name: 'Command line' }).count(), 0);
  const refused = await beamway(['whoami']).ended;
  assert.deepEqual([refused.code, /revoked/.test(refused.err)], [3, true], refused.err);
  const out = await beamway(['logout']).ended;
  assert.equal(out.code, 0, 'a session that has ended is what was wanted');
  assert.doesNotMatch(readFileSync(profiles, 'utf8'), /bws_/);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You are signed out').waitFor();
  await page.goto(`${s.origin}/beamway/sessions`);
  assert.match(page.url(), /\/beamway\/sign-in\?return=/);
  assert.deepEqual(complaints, []);
});

test('with the keyboard alone, in the dark', { skip: absent, timeout: 60_000 }, async (t) => {
  const context = await browser.newContext({ colorScheme: 'dark' });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${s.origin}/beamway/device`);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the content');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByLabel('Name').waitFor();
  await page.keyboard.type('ada');
  await page.keyboard.press('Tab');
  await page.keyboard.type(s.accounts.logins.find((l) => l.subject === 'ada')?.password ?? '');
  await page.keyboard.press('Enter');
  await page.getByLabel('Code').waitFor();
  assert.equal(await page.evaluate('document.activeElement.id'), 'user_code');
});

test('a login whose code is refused in the browser exits with 3 and leaves the profile alone', {
  skip: absent,
  timeout: 60_000,
}, async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const login = beamway(['login'], { BEAMWAY_URL: s.server.url, BEAMWAY_PROFILE: 'other' });
  await page.goto(await login.hasSaid(/(http:\S+user_code=\S+)/));
  await signIn(page, 'ada');
  await page.getByRole('button', { name: /No/ }).click();
  const ran = await login.ended;
  assert.equal(ran.code, 3, ran.err);
  const path = join(home, '.config/beamway/profiles.json');
  assert.ok(!readFileSync(path, 'utf8').includes('other'));
  chmodSync(path, 0o644);
  const open = await beamway(['login', '--url', s.server.url]).ended;
  chmodSync(path, 0o600);
  assert.deepEqual(
    [open.code, /chmod 600/.test(open.err)],
    [2, true],
    'a profile that others can read is not written to',
  );
});

test('logout without a session, and login without a facility, say so', { skip: absent }, async () => {
  const out = await beamway(['logout'], { BEAMWAY_PROFILE: 'nobody' }).ended;
  assert.deepEqual([out.code, /holds no session/.test(out.err)], [1, true]);
  const nowhere = await beamway(['login'], { BEAMWAY_PROFILE: 'nobody' }).ended;
  assert.deepEqual([nowhere.code, /--url/.test(nowhere.err)], [2, true]);
  const away = await beamway(['login', '--url', 'http://127.0.0.1:1'], { BEAMWAY_PROFILE: 'nobody' }).ended;
  assert.equal(away.code, 5, away.err);
});
