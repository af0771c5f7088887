/**
 * Is this JWT a hop token of ours, for this audience, now? Strict (RFC 8725): one algorithm, our own key ids, one type, one audience that matches exactly,
 * a bounded life, no header that names or carries a key, no extension that must be understood, nothing encrypted.
 */
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { Problem } from '../../problems.ts';
import { HOP_TYPE } from './mint-hop-token.ts';
import type { SigningKeys } from './open-signing-keys.ts';
import { LONGEST_HOP_SECONDS, SKEW_SECONDS } from './signing-key.ts';

/** Ours have some 700. */
const LONGEST_TEXT = 4096;
const HEADER_FIELDS = new Set(['alg', 'kid', 'typ']);

const claimsSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  sub: z.string(),
  jti: z.string(),
  iat: z.int(),
  nbf: z.int(),
  exp: z.int(),
  project: z.string(),
  enclave: z.enum(['open', 'moderate']),
  environments: z.array(z.string()).min(1),
  scope: z.string(),
  act: z.strictObject({ sub: z.string() }),
});

export interface HopClaims {
  readonly id: string;
  readonly issuer: string;
  readonly audience: string;
  readonly subject: string;
  /** The project access token that it stands for. */
  readonly token: string;
  readonly project: string;
  readonly enclave: 'open' | 'moderate';
  readonly environments: readonly string[];
  readonly scopes: readonly string[];
  readonly issuedAt: Date;
  readonly notBefore: Date;
  readonly expiresAt: Date;
}

export interface VerifyHopDeps {
  readonly clock: Clock;
  readonly keys: Pick<SigningKeys, 'publicKey'>;
  readonly issuer: () => string;
}

/**
 * Throws `token-malformed`, `token-unknown` (not ours, or for somebody else), `token-expired`, `token-not-yet-valid`, `unavailable`. Without an audience
 * (introspection alone) any is accepted. Does not ask whether the token behind it was revoked meanwhile: introspection does.
 */
export async function verifyHopToken(
  deps: VerifyHopDeps,
  text: string,
  want: { readonly audience: string | undefined },
): Promise<HopClaims> {
  const kid = kidOf(text);
  const key = await deps.keys.publicKey(kid);
  if (key === undefined) throw new Problem('token-unknown', 'This JWT names no signing key of this facility.');
  const payload = await verified(deps, text, key);
  const parsed = claimsSchema.safeParse(payload);
  if (!parsed.success) throw new Problem('token-malformed', 'This JWT has not the claims of a hop token.');
  const claims = parsed.data;
  if (want.audience !== undefined && claims.aud !== want.audience)
    throw new Problem('token-unknown', 'This hop token is for another audience.');
  const nowSeconds = deps.clock.now() / 1000;
  if (claims.exp - claims.iat > LONGEST_HOP_SECONDS || claims.exp <= claims.nbf)
    throw new Problem('token-malformed', `A hop token lives from 1 to ${LONGEST_HOP_SECONDS} seconds.`);
  if (claims.iat > nowSeconds + SKEW_SECONDS)
    throw new Problem('token-not-yet-valid', 'This hop token was issued in the future.');
  return {
    id: claims.jti,
    issuer: claims.iss,
    audience: claims.aud,
    subject: claims.sub,
    token: claims.act.sub,
    project: claims.project,
    enclave: claims.enclave,
    environments: claims.environments,
    scopes: claims.scope === '' ? [] : claims.scope.split(' '),
    issuedAt: new Date(claims.iat * 1000),
    notBefore: new Date(claims.nbf * 1000),
    expiresAt: new Date(claims.exp * 1000),
  };
}

function kidOf(text: string): string {
  const malformed = (detail: string): Problem => new Problem('token-malformed', detail);
  if (text.length > LONGEST_TEXT) throw malformed(`A hop token has at most ${LONGEST_TEXT} characters.`);
  let header: Readonly<Record<string, unknown>>;
  try {
    header = { ...decodeProtectedHeader(text) };
  } catch {
    throw malformed('This is no JWT.');
  }
  const { alg, kid, typ } = header;
  if (alg !== 'Ed25519' || typ !== HOP_TYPE || typeof kid !== 'string')
    throw malformed('This JWT has not the header of a hop token.');
  if (!Object.keys(header).every((name) => HEADER_FIELDS.has(name)))
    throw malformed('This JWT has a header field that hop tokens do not have.');
  return kid;
}

async function verified(
  deps: VerifyHopDeps,
  text: string,
  key: NonNullable<Awaited<ReturnType<SigningKeys['publicKey']>>>,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(text, key, {
      algorithms: ['Ed25519'],
      typ: HOP_TYPE,
      issuer: deps.issuer(),
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(deps.clock.now()),
      requiredClaims: ['iss', 'aud', 'sub', 'jti', 'iat', 'nbf', 'exp'],
    });
    return payload;
  } catch (cause) {
    if (cause instanceof errors.JWTExpired)
      throw new Problem('token-expired', 'This hop token has expired.', { cause });
    if (cause instanceof errors.JWTClaimValidationFailed && cause.claim === 'nbf')
      throw new Problem('token-not-yet-valid', 'This hop token is not valid yet.', { cause });
    if (cause instanceof errors.JWTClaimValidationFailed && cause.claim === 'iss')
      throw new Problem('token-unknown', 'This JWT is not of this facility.', { cause });
    throw new Problem('token-malformed', 'This is no hop token of this facility.', { cause });
  }
}
