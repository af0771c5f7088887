/**
 * Sends a browser to an identity provider. The sign-in is bound to that browser: nonce and PKCE verifier are derived from the secret in its
 * cookie and from the state, so that our database holds nothing with which a stolen answer could be redeemed.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import type { Queries } from '../../database/index.ts';
import type { IdentityProviders, LoginSecrets } from './identity-providers.ts';
import { insertLogin } from './login-store.ts';
import { returnPath } from './return-path.ts';

/** From leaving our page to coming back to it. */
export const LOGIN_WITHIN_MS = 600_000;
export const AFTER_SIGN_IN = '/beamway/sessions';

export interface LoginDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly providers: IdentityProviders;
}

export function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

export function loginSecrets(browser: string, state: string): LoginSecrets {
  const derived = (use: string): string => createHmac('sha256', browser).update(`${use} ${state}`).digest('base64url');
  return { state, nonce: derived('nonce'), verifier: derived('pkce') };
}

/** One for each provider, so that one provider's answer is never taken for another's (mix-up, RFC 9700 section 4.4). */
export function callbackPath(provider: string): string {
  return `/beamway/sign-in/${provider}/callback`;
}

export async function beginLogin(
  deps: LoginDeps,
  wish: {
    readonly provider: string;
    readonly browser: string;
    readonly origin: string;
    readonly returnTo: string | undefined;
  },
): Promise<URL> {
  const secrets = loginSecrets(wish.browser, randomBytes(32).toString('base64url'));
  const redirectUri = wish.origin + callbackPath(wish.provider);
  const url = await deps.providers.begin(wish.provider, { secrets, redirectUri });
  const now = deps.clock.now();
  await insertLogin(deps.db, {
    state: digestOf(secrets.state),
    provider: wish.provider,
    browser: digestOf(wish.browser),
    returnPath: returnPath(wish.returnTo, AFTER_SIGN_IN),
    createdAt: new Date(now),
    expiresAt: new Date(now + LOGIN_WITHIN_MS),
  });
  return url;
}
