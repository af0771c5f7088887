/** For tests: an issuer that signs what it is told to, and its entry in the trust table. */
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { Clock } from '../../clock.ts';
import type { Federation, TrustedIssuer } from './federation.ts';
import { type IssuerKeys, parseKeySet } from './issuer-keys.ts';

export const THEIR_ISSUER = 'https://idp.example.org';
export const OUR_NAME = 'https://beamway.example.org';
export const NOW_SECONDS = 1_800_000_000;

export const stillClock = (nowSeconds = NOW_SECONDS): Clock => ({
  now: () => nowSeconds * 1000,
  monotonic: () => 0,
  after: () => () => undefined,
});

export function trustedIssuer(change: Partial<TrustedIssuer> = {}): TrustedIssuer {
  return {
    name: 'campus',
    issuer: THEIR_ISSUER,
    jwksFile: '/nowhere',
    algorithms: ['ES256'],
    audience: OUR_NAME,
    person: { claim: 'sub' },
    requires: {},
    maxAgeSeconds: 600,
    maxLifetimeSeconds: 3600,
    grants: [{ project: 'demo', environments: ['ace'], scopes: ['job:read'], classification: 'public', sources: [] }],
    ...change,
  };
}

export interface Issuer {
  readonly keySetText: string;
  readonly privateKey: CryptoKey;
  readonly keys: IssuerKeys;
  sign(change?: SignChange): Promise<string>;
}

export interface SignChange {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly key?: CryptoKey | Uint8Array;
  readonly nowSeconds?: number;
}

export async function newIssuer(issuer = THEIR_ISSUER): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const keySetText = JSON.stringify({
    keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }],
  });
  const { set } = parseKeySet(keySetText);
  let serial = 0;
  return {
    keySetText,
    privateKey,
    keys: { of: async () => set },
    sign({ claims = {}, header = {}, key = privateKey, nowSeconds = NOW_SECONDS } = {}) {
      serial += 1;
      const all = {
        iss: issuer,
        aud: OUR_NAME,
        sub: 'ada',
        jti: `j${serial}`,
        iat: nowSeconds,
        exp: nowSeconds + 300,
        ...claims,
      };
      return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'JWT', ...header }).sign(key);
    },
  };
}

export const federationOf = (...issuers: TrustedIssuer[]): Federation => ({ audiences: [], issuers });
