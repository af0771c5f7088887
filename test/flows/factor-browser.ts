/** For tests: a real Chromium with an authenticator that the DevTools protocol plays, signed in at a control plane. Ended by its own pid when the test ends. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core';
import { newBrowserSecret } from '../../src/api/pages/cookies.ts';
import type { TestScope } from '../../src/database/testing.ts';
import { issueSession, type Role } from '../../src/identity/index.ts';
import type { ApiServer } from './api-server.ts';

const CHROMIUM = '/usr/bin/chromium';
/** Why browser tests are skipped here, or false. */
export const NO_BROWSER: string | false = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed`;
const PATIENCE_MS = 15_000;

export async function openBrowser(t: TestScope): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
  t.after(() => browser.close());
  return browser;
}

export interface SignedInPage {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly devtools: CDPSession;
  readonly authenticator: string;
  /** Of the session. */
  readonly session: string;
  /** Another session of the same person in the same browser, as after signing out and in: nothing is shown in it yet. */
  signInAgain(): Promise<string>;
}

export async function signedInPage(
  api: ApiServer,
  browser: Browser,
  person: { readonly subject: string; readonly roles?: readonly Role[] },
): Promise<SignedInPage> {
  const context = await browser.newContext({ viewport: { width: 800, height: 1000 } });
  context.setDefaultTimeout(PATIENCE_MS);
  const signInAgain = async (): Promise<string> => {
    const secret = newBrowserSecret();
    const { token, value } = await issueSession(api.server.issue, {
      subject: person.subject,
      roles: person.roles ?? ['member'],
      lifetimeSeconds: 3600,
      by: 'test',
      methods: ['oidc'],
      browser: createHash('sha256').update(secret).digest(),
    });
    const { origin } = api.server;
    const { port } = new URL(origin);
    const cookie = { url: origin, httpOnly: true, sameSite: 'Lax' as const };
    await context.addCookies([
      { ...cookie, name: `bw_session_${port}`, value },
      { ...cookie, name: `bw_browser_${port}`, value: secret },
    ]);
    return token.id;
  };
  const session = await signInAgain();
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { page, context, devtools, authenticator: authenticatorId, session, signInAgain };
}
