/**
 * A hop token: what a project access token's software shows to one named service, in place of the token itself. A JWT (RFC 7519) signed with Ed25519,
 * for one audience, at most five minutes, never wider or longer than the token. `act` (RFC 8693 section 4.1) names that token.
 */
import { SignJWT } from 'jose';
import type { Clock } from '../../clock.ts';
import type { Queries } from '../../database/index.ts';
import { randomText } from '../../id.ts';
import { type FieldError, Problem } from '../../problems.ts';
import type { Caller } from '../caller.ts';
import { tokenById } from '../store.ts';
import { START_LEEWAY_MS, tokenState } from '../token.ts';
import type { SigningKeys } from './open-signing-keys.ts';
import { LONGEST_HOP_SECONDS } from './signing-key.ts';

/** RFC 8725 section 3.11: a type of its own, so that no other JWT is taken for one of these, nor the reverse. */
export const HOP_TYPE = 'beamway-hop+jwt';
const DEFAULT_SECONDS = 60;

export interface HopDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly keys: SigningKeys;
  /** Our own name in `iss`: scheme, host and port by which others know us. */
  readonly issuer: () => string;
  /** Of facility/federation.yaml: who may be spoken to. */
  readonly audiences: readonly string[];
}

export interface HopWish {
  readonly caller: Caller;
  readonly audience: string;
  readonly lifetimeSeconds?: number | undefined;
  /** Of the token's own; default: all of them. */
  readonly scopes?: readonly string[] | undefined;
}

export interface HopToken {
  /** The JWT itself. */
  readonly value: string;
  readonly id: string;
  readonly expiresAt: Date;
  readonly scopes: readonly string[];
}

/** Throws `invalid-request`, `refused` for other bearers than tokens, `token-revoked`, `unavailable`. */
export async function mintHopToken(deps: HopDeps, wish: HopWish): Promise<HopToken> {
  const { caller, audience, lifetimeSeconds = DEFAULT_SECONDS } = wish;
  if (caller.kind !== 'token')
    throw new Problem('refused', 'Only a project access token is shown on as a hop token.', {
      rules: [{ rule: 'only-tokens-hop', detail: 'send a project access token' }],
    });
  const scopes = [...new Set(wish.scopes ?? caller.scopes)];
  const errors = faults(deps, { ...wish, lifetimeSeconds, scopes }, caller.scopes);
  if (errors.length > 0) throw new Problem('invalid-request', 'The hop token cannot be made as asked.', { errors });
  const now = deps.clock.now();
  const token = await tokenById(deps.db, caller.id);
  if (token === undefined || tokenState(token, now, START_LEEWAY_MS) !== 'active')
    throw new Problem('token-revoked', `Token ${caller.id} is not active any more.`);
  const nowSeconds = Math.floor(now / 1000);
  const endSeconds = Math.min(nowSeconds + lifetimeSeconds, Math.floor(token.expiresAt.getTime() / 1000));
  const { kid, key } = deps.keys.signer();
  const id = randomText(26);
  const value = await new SignJWT({
    project: caller.project,
    enclave: caller.enclave,
    environments: [...caller.environments],
    scope: scopes.join(' '),
    act: { sub: caller.id },
  })
    .setProtectedHeader({ alg: 'Ed25519', kid, typ: HOP_TYPE })
    .setIssuer(deps.issuer())
    .setAudience(audience)
    .setSubject(caller.subject)
    .setJti(id)
    .setIssuedAt(nowSeconds)
    .setNotBefore(nowSeconds)
    .setExpirationTime(endSeconds)
    .sign(key);
  return { value, id, expiresAt: new Date(endSeconds * 1000), scopes };
}

function faults(
  deps: HopDeps,
  wish: { readonly audience: string; readonly lifetimeSeconds: number; readonly scopes: readonly string[] },
  own: readonly string[],
): readonly FieldError[] {
  const errors: FieldError[] = [];
  const { audience, lifetimeSeconds, scopes } = wish;
  if (!deps.audiences.includes(audience))
    errors.push({ pointer: '#/audience', detail: `one of ${deps.audiences.join(', ') || '(none is set up here)'}` });
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 1 || lifetimeSeconds > LONGEST_HOP_SECONDS)
    errors.push({ pointer: '#/lifetimeSeconds', detail: `whole seconds, 1 to ${LONGEST_HOP_SECONDS}` });
  if (scopes.length === 0) errors.push({ pointer: '#/scopes', detail: 'at least one scope' });
  for (const [i, scope] of scopes.entries())
    if (!own.includes(scope)) errors.push({ pointer: `#/scopes/${i}`, detail: `the token does not hold ${scope}` });
  return errors;
}
