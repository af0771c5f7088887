/**
 * The facility as a relying party of its identity providers (OpenID Connect Core 1.0, PKCE RFC 7636, issuer in the answer RFC 9207, one
 * redirect URI per provider). Owns each provider's metadata, read at its first use and anew every hour.
 */
import { readFileSync, statSync } from 'node:fs';
import type { Configuration } from 'openid-client';
import type { Clock } from '../../clock.ts';
import { Problem } from '../../problems.ts';
import type { Claims } from './person-of-claims.ts';
import type { Provider } from './sign-in-settings.ts';

const METADATA_MS = 3_600_000;
const ANSWER_WITHIN_SECONDS = 10;
const CLOCK_TOLERANCE_SECONDS = 30;
/** Signed with a key that only the provider has: neither `none` nor a secret that we hold too. */
const ALGORITHMS = [
  'EdDSA',
  'Ed25519',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
];

/** What binds the two halves of a sign-in; all three are derived from one secret, see begin-login.ts. */
export interface LoginSecrets {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export interface IdentityProviders {
  readonly list: readonly Provider[];
  /** Where the browser goes to sign in. Throws `not-found`, or `unavailable` where the provider does not answer. */
  begin(name: string, ask: { readonly secrets: LoginSecrets; readonly redirectUri: string }): Promise<URL>;
  /** The claims of a verified id token. Throws `sign-in-failed`, `unavailable`. */
  finish(name: string, answer: { readonly secrets: LoginSecrets; readonly callback: URL }): Promise<Claims>;
}

interface Known {
  readonly configuration: Promise<Configuration>;
  readonly atMs: number;
}

/** `oldestSignOnSeconds`: a person who was at the provider longer ago than this signs in there anew. */
export function openIdentityProviders(
  providers: readonly Provider[],
  deps: { readonly clock: Clock; readonly oldestSignOnSeconds: number },
): IdentityProviders {
  const known = new Map<string, Known>();
  const byName = (name: string): Provider => {
    const provider = providers.find((p) => p.name === name);
    if (provider === undefined) throw new Problem('not-found', `No identity provider ${name}.`);
    return provider;
  };
  const configurationOf = async (provider: Provider): Promise<Configuration> => {
    const now = deps.clock.monotonic();
    const before = known.get(provider.name);
    const fresh = before !== undefined && now - before.atMs < METADATA_MS ? before : undefined;
    const entry = fresh ?? { configuration: discover(provider), atMs: now };
    known.set(provider.name, entry);
    try {
      return await entry.configuration;
    } catch (cause) {
      known.delete(provider.name);
      throw new Problem('unavailable', `${provider.title} does not answer.`, { cause, retryAfterSeconds: 5 });
    }
  };
  // auth_time is promised only where max_age was asked for (Core, section 2).
  const maxAge = (provider: Provider): number | undefined =>
    provider.secondFactor === undefined ? undefined : deps.oldestSignOnSeconds;

  return {
    list: providers,
    async begin(name, { secrets, redirectUri }) {
      const provider = byName(name);
      const configuration = await configurationOf(provider);
      const { buildAuthorizationUrl, calculatePKCECodeChallenge } = await import('openid-client');
      const age = maxAge(provider);
      return buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: provider.scopes.join(' '),
        state: secrets.state,
        nonce: secrets.nonce,
        code_challenge: await calculatePKCECodeChallenge(secrets.verifier),
        code_challenge_method: 'S256',
        ...(age === undefined ? {} : { max_age: String(age) }),
      });
    },
    async finish(name, { secrets, callback }) {
      const provider = byName(name);
      const configuration = await configurationOf(provider);
      const { authorizationCodeGrant } = await import('openid-client');
      const age = maxAge(provider);
      try {
        const tokens = await authorizationCodeGrant(configuration, callback, {
          expectedState: secrets.state,
          expectedNonce: secrets.nonce,
          pkceCodeVerifier: secrets.verifier,
          idTokenExpected: true,
          ...(age === undefined ? {} : { maxAge: age }),
        });
        const claims = tokens.claims();
        if (claims === undefined) throw new Problem('sign-in-failed', `${provider.title} sent no id token.`);
        return claims;
      } catch (cause) {
        throw await failureOf(provider, cause);
      }
    },
  };
}

async function discover(provider: Provider): Promise<Configuration> {
  const oidc = await import('openid-client');
  const secret = provider.clientSecretFile === undefined ? undefined : readSecret(provider.clientSecretFile);
  const configuration = await oidc.discovery(
    new URL(provider.issuer),
    provider.clientId,
    { [oidc.clockTolerance]: CLOCK_TOLERANCE_SECONDS },
    secret === undefined ? oidc.None() : oidc.ClientSecretBasic(secret),
    {
      timeout: ANSWER_WITHIN_SECONDS,
      // The schema lets plain HTTP through on loopback only.
      execute: provider.issuer.startsWith('http:')
        ? [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks]
        : [oidc.enableNonRepudiationChecks],
    },
  );
  const signed = configuration.serverMetadata().id_token_signing_alg_values_supported ?? ['RS256'];
  if (!signed.some((algorithm) => ALGORITHMS.includes(algorithm)))
    throw new Error(`${provider.name} signs id tokens with none of ${ALGORITHMS.join(', ')}`);
  return configuration;
}

/** Read at each discovery, so that a new secret needs no restart. */
function readSecret(file: string): string {
  if ((statSync(file).mode & 0o077) !== 0) throw new Error(`${file} can be read by others; run: chmod 600 ${file}`);
  return readFileSync(file, 'utf8').trim();
}

async function failureOf(provider: Provider, cause: unknown): Promise<Problem> {
  if (cause instanceof Problem) return cause;
  const { AuthorizationResponseError } = await import('openid-client');
  if (cause instanceof AuthorizationResponseError) {
    const word = /^[a-z_]{1,60}$/.test(cause.error) ? cause.error : 'an error';
    return new Problem('sign-in-failed', `${provider.title} did not let you in: ${word}.`, { cause });
  }
  const away = cause instanceof TypeError && cause.cause !== undefined;
  if (away) return new Problem('unavailable', `${provider.title} does not answer.`, { cause, retryAfterSeconds: 5 });
  return new Problem('sign-in-failed', `What ${provider.title} answered cannot be believed.`, { cause });
}
