/**
 * For tests of signing in: the real control plane with identity providers of the test's choice, and a browser without a screen that keeps
 * cookies by origin, follows no redirect unasked and says where its forms come from. Ends when the test does.
 */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../../src/database/index.ts';
import { type TestScope, testDatabase } from '../../src/database/testing.ts';
import { type DevIdentityProvider, startDevIdentityProvider } from '../../src/dev-identity-provider.ts';
import { loadSignIn, type Provider } from '../../src/identity/index.ts';
import { MIGRATIONS, type RunningServer, startServer } from '../../src/server.ts';
import { FACILITY } from './api-server.ts';

export interface SignInServer {
  readonly server: RunningServer;
  readonly origin: string;
  readonly database: Database;
  readonly accounts: DevIdentityProvider;
  /** Signs in with a development account; the browser holds the session from then on. */
  signIn(browser: Browser, subject: string, returnTo?: string): Promise<Page>;
  stop(): Promise<void>;
}

export async function startSignInServer(
  t: TestScope,
  options: { readonly providers?: readonly Provider[]; readonly publicUrl?: string } = {},
): Promise<SignInServer> {
  const { database, embedded } = await testDatabase(t, MIGRATIONS);
  const state = mkdtempSync(join(tmpdir(), 'beamway-sign-in-'));
  chmodSync(state, 0o711);
  const facilityDir = join(state, 'facility');
  cpSync(FACILITY, facilityDir, { recursive: true });
  const accounts = await startDevIdentityProvider(loadSignIn(facilityDir).dev.accounts);
  const server = await startServer({
    stateDir: state,
    facilityDir,
    listen: { host: '127.0.0.1', port: 0 },
    target: { embedded },
    limitFactor: 1000,
    logLevel: 'silent',
    devProviders: [accounts.provider, ...(options.providers ?? [])],
    ...(options.publicUrl === undefined ? {} : { publicUrl: options.publicUrl }),
  });
  accounts.serve(server.origin);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= server.stop({ endJobs: true }).then(() => accounts.stop());
    return stopped;
  };
  t.after(async () => {
    await stop();
    await rm(state, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  return {
    server,
    origin: server.origin,
    database,
    accounts,
    stop,
    async signIn(browser, subject, returnTo) {
      const query = returnTo === undefined ? '' : `?return=${encodeURIComponent(returnTo)}`;
      const form = await browser.follow(`${server.origin}/beamway/sign-in/dev${query}`);
      assert.match(form.text, /Development account/);
      const password = accounts.logins.find((l) => l.subject === subject)?.password ?? '';
      return browser.submit(form, { subject, password });
    },
  };
}

export interface Page {
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Where it sends the browser; empty: nowhere. */
  readonly location: string;
}

export interface Browser {
  /** One request. */
  get(url: string, headers?: Readonly<Record<string, string>>): Promise<Page>;
  /** A request and all redirects that it leads to. */
  follow(url: string): Promise<Page>;
  /** POSTs to the first form's address, or to `action`, with the CSRF token of the page, and follows. */
  submit(page: Page, fields: Readonly<Record<string, string>>, action?: string): Promise<Page>;
  post(url: string, body: string, headers?: Readonly<Record<string, string>>): Promise<Page>;
  /** By name, of one origin. */
  cookies(origin: string): ReadonlyMap<string, string>;
  setCookie(origin: string, name: string, value: string): void;
}

export function csrfOf(page: Page): string {
  return /name="csrf" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
}

export function openBrowser(): Browser {
  const jars = new Map<string, Map<string, string>>();
  const jarOf = (origin: string): Map<string, string> => {
    const jar = jars.get(origin) ?? new Map<string, string>();
    jars.set(origin, jar);
    return jar;
  };
  const ask = async (url: string, init: RequestInit & { readonly headers?: Record<string, string> }): Promise<Page> => {
    const { origin } = new URL(url);
    const jar = jarOf(origin);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { 'user-agent': 'Mozilla/5.0 (Linux) Firefox/142', ...init.headers, ...(cookie && { cookie }) };
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split('; ');
      const at = pair.indexOf('=');
      if (attributes.some((a) => a === 'Max-Age=0' || /^expires=Thu, 01 Jan 1970/i.test(a)))
        jar.delete(pair.slice(0, at));
      else jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const location = answer.headers.get('location');
    return {
      url,
      status: answer.status,
      headers: answer.headers,
      text: await answer.text(),
      location: location === null ? '' : new URL(location, url).href,
    };
  };
  const rest = async (page: Page): Promise<Page> => {
    let at = page;
    for (let hops = 0; at.location !== ''; hops++) {
      assert.ok(hops < 20, `a circle of redirects at ${at.location}`);
      at = await ask(at.location, {});
    }
    return at;
  };
  const browser: Browser = {
    get: (url, headers = {}) => ask(url, { headers: { ...headers } }),
    follow: async (url) => rest(await ask(url, {})),
    async submit(page, fields, action) {
      const to = action ?? /<form method="post"(?: action="([^"]+)")?/.exec(page.text)?.[1] ?? page.url;
      const csrf = csrfOf(page);
      const body = new URLSearchParams({ ...(csrf === '' ? {} : { csrf }), ...fields }).toString();
      return rest(await browser.post(new URL(to, page.url).href, body));
    },
    post: (url, body, headers = {}) =>
      ask(url, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          origin: new URL(url).origin,
          'sec-fetch-site': 'same-origin',
          ...headers,
        },
      }),
    cookies: (origin) => jarOf(origin),
    setCookie: (origin, name, value) => void jarOf(origin).set(name, value),
  };
  return browser;
}
