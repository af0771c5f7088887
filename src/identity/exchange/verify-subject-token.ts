/**
 * Who does another issuer's JWT speak of, and may that be believed here? OpenID Connect Core 3.1.3.7 and RFC 8725: the issuer is in the trust table, the
 * signature is by one of its keys with one of its algorithms, the audience is us alone, the token is young, and the sign-in was as strong as the table asks.
 */
import { createHash } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../../clock.ts';
import type { Federation, TrustedIssuer } from './federation.ts';
import type { IssuerKeys } from './issuer-keys.ts';
import { type ClaimedIdentity, claimed, NOBODY, RefusedIdentity } from './refused-identity.ts';

const LONGEST_TEXT = 16_384;
const TOLERANCE_SECONDS = 30;
const DEEPEST_LIST = 100;

export interface VerifyDeps {
  readonly clock: Clock;
  readonly federation: Federation;
  readonly issuerKeys: IssuerKeys;
}

export interface SubjectIdentity {
  readonly issuer: TrustedIssuer;
  readonly claims: JWTPayload;
  readonly identity: ClaimedIdentity;
  /** What makes a second use of this token the same use: of its `jti`, or of its signed text where it has none. SHA-256. */
  readonly replayKey: Buffer;
  /** From then on it is refused for its age. */
  readonly endsAt: Date;
}

/** Throws RefusedIdentity (`identity-refused`), or `unavailable` where the issuer's keys cannot be read. */
export async function verifySubjectToken(deps: VerifyDeps, text: string): Promise<SubjectIdentity> {
  const { header, payload } = unverified(text);
  const said = claimed(payload.iss, payload.sub, false);
  const refuse = (detail: string, identity: ClaimedIdentity, cause?: unknown): RefusedIdentity =>
    new RefusedIdentity('identity-refused', detail, { identity, cause });
  const issuer = deps.federation.issuers.find((i) => i.issuer === payload.iss);
  if (issuer === undefined) throw refuse('The issuer of the subject token is not trusted here.', said);
  const { alg, kid } = header;
  if (!issuer.algorithms.some((a) => a === alg))
    throw refuse(`The subject token is not signed with one of ${issuer.algorithms.join(', ')}.`, said);
  if ('crit' in header) throw refuse('The subject token has an extension that is not understood here.', said);
  if (kid !== undefined && typeof kid !== 'string') throw refuse('The subject token names no key.', said);
  const keys = await deps.issuerKeys.of(issuer, kid);
  const now = deps.clock.now();
  const { payload: claims } = await jwtVerify(text, keys, {
    algorithms: [...issuer.algorithms],
    issuer: issuer.issuer,
    audience: issuer.audience,
    clockTolerance: TOLERANCE_SECONDS,
    maxTokenAge: issuer.maxAgeSeconds,
    currentDate: new Date(now),
    requiredClaims: ['iss', 'aud', 'sub', 'iat', 'exp'],
    ...(issuer.typ === undefined ? {} : { typ: issuer.typ }),
  }).catch((cause: unknown) => {
    throw refuse(reasonOf(cause), said, cause);
  });
  const identity = claimed(claims.iss, claims.sub, true);
  // For us alone: another audience of the same token could show it here.
  if (typeof claims.aud === 'string' ? claims.aud !== issuer.audience : claims.aud?.length !== 1)
    throw refuse(`The subject token must be for ${issuer.audience} alone.`, identity);
  const weak = tooWeak(issuer, claims, now);
  if (weak !== undefined) throw refuse(weak, identity);
  const endSeconds = Math.min(claims.exp ?? 0, (claims.iat ?? 0) + issuer.maxAgeSeconds) + TOLERANCE_SECONDS;
  return { issuer, claims, identity, replayKey: replayKey(issuer, claims, text), endsAt: new Date(endSeconds * 1000) };
}

function unverified(text: string): { readonly header: Record<string, unknown>; readonly payload: JWTPayload } {
  try {
    if (text.length > LONGEST_TEXT) throw new RangeError('too long');
    return { header: { ...decodeProtectedHeader(text) }, payload: decodeJwt(text) };
  } catch (cause) {
    throw new RefusedIdentity('identity-refused', 'The subject token is no JWT that can be read.', {
      identity: NOBODY,
      cause,
    });
  }
}

/** What the holder may know: it is their own token. */
function reasonOf(cause: unknown): string {
  if (cause instanceof errors.JWTExpired) return 'The subject token has expired, or was issued too long ago.';
  if (cause instanceof errors.JWTClaimValidationFailed)
    return `The claim ${cause.claim} of the subject token is not as it must be here.`;
  return 'The signature of the subject token is not by a key of its issuer.';
}

function tooWeak(issuer: TrustedIssuer, claims: JWTPayload, nowMs: number): string | undefined {
  const { acr, amr, maxAuthAgeMinutes } = issuer.requires;
  const has = (claim: string, wanted: readonly string[]): boolean =>
    texts(claims[claim]).some((value) => wanted.includes(value));
  if (acr !== undefined && !has('acr', acr)) return `The sign-in must have acr ${acr.join(' or ')}.`;
  if (amr !== undefined && !has('amr', amr)) return `The sign-in must have amr ${amr.join(' or ')}.`;
  if (maxAuthAgeMinutes === undefined) return undefined;
  const at = claims['auth_time'];
  const ageMs = typeof at === 'number' ? nowMs - at * 1000 : Infinity;
  const young = ageMs <= maxAuthAgeMinutes * 60_000 && ageMs >= -TOLERANCE_SECONDS * 1000;
  return young ? undefined : `The sign-in must be at most ${maxAuthAgeMinutes} min old (auth_time).`;
}

/** A claim that is a text or a list of texts. */
export function texts(value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value.slice(0, DEEPEST_LIST) : [value];
  return list.filter((v): v is string => typeof v === 'string');
}

/** The signed text, not the whole: some signatures can be written in two ways. */
function replayKey(issuer: TrustedIssuer, claims: JWTPayload, text: string): Buffer {
  const what = typeof claims.jti === 'string' ? ['jti', claims.jti] : ['text', text.slice(0, text.lastIndexOf('.'))];
  return createHash('sha256')
    .update(JSON.stringify([issuer.issuer, ...what]))
    .digest();
}
