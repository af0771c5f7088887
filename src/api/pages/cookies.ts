/**
 * Our two cookies: `bw_session` holds the bearer of a browser's session, `bw_browser` a random secret to which that session is bound.
 * Behind TLS both carry `__Host-` (RFC 6265bis 4.1.3.2), so that no other host can plant them. On plain loopback HTTP, where cookies do
 * not know ports, their names carry ours.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { Cookie } from './page.ts';

export const SESSION_COOKIE = 'bw_session';
export const BROWSER_COOKIE = 'bw_browser';

const BROWSER_BYTES = 32;
const BROWSER_SHAPE = /^[A-Za-z0-9_-]{43}$/;

export function newBrowserSecret(): string {
  return randomBytes(BROWSER_BYTES).toString('base64url');
}

function fullName(name: string, origin: string): string {
  const { protocol, port } = new URL(origin);
  return protocol === 'https:' ? `__Host-${name}` : `${name}_${port === '' ? '80' : port}`;
}

/** Undefined where it is absent, or there twice: somebody planted one. */
function cookieOf(header: string | undefined, name: string): string | undefined {
  const found = (header ?? '')
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part.startsWith(`${name}=`));
  return found.length === 1 ? found[0]?.slice(name.length + 1) : undefined;
}

export interface OurCookies {
  readonly session: string | undefined;
  readonly browser: string | undefined;
}

export function readCookies(header: string | undefined, origin: string): OurCookies {
  const browser = cookieOf(header, fullName(BROWSER_COOKIE, origin));
  const session = cookieOf(header, fullName(SESSION_COOKIE, origin));
  return {
    session: session === '' ? undefined : session,
    browser: browser !== undefined && BROWSER_SHAPE.test(browser) ? browser : undefined,
  };
}

/** A Set-Cookie header. Lax and not Strict: the identity provider sends the browser back to us from another site. */
export function setCookie(cookie: Cookie, origin: string): string {
  const secure = new URL(origin).protocol === 'https:' ? '; Secure' : '';
  const age = cookie.maxAgeSeconds === undefined ? '' : `; Max-Age=${Math.floor(cookie.maxAgeSeconds)}`;
  return `${fullName(cookie.name, origin)}=${cookie.value}; Path=/; HttpOnly; SameSite=Lax${secure}${age}`;
}

/** Derived from the browser's secret, which no script and no other site can read; nothing to store, nothing to expire. */
export function csrfToken(browser: string): string {
  return createHmac('sha256', browser).update('beamway csrf').digest('base64url');
}
