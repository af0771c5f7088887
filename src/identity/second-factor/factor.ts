/**
 * A person's second factor: what kinds there are, how fresh one must be, who may change them. Pure; the rows are in factor-tables-store.ts.
 * RFC 6238 (TOTP), W3C Web Authentication Level 3, NIST SP 800-63B (how often a code may be tried).
 */
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../clock.ts';
import type { Queries } from '../../database/index.ts';
import type { SessionCaller } from '../caller.ts';
import type { TokenVerifier } from '../verify-token.ts';
import type { FactorKeys } from './factor-keys.ts';

export const FACTOR_METHODS = ['totp', 'webauthn', 'recovery-code'] as const;
export type FactorMethod = (typeof FACTOR_METHODS)[number];

/** What a person sees of a factor; nothing in it is secret. */
export interface Factor {
  readonly id: string;
  readonly method: FactorMethod;
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  /** Of a passkey: it is copied to the person's other devices by its provider. */
  readonly backedUp: boolean;
  /** Of recovery codes: how many of them are unused. */
  readonly codesLeft: number | null;
}

export interface FactorDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly keys: FactorKeys;
  readonly verifier: Pick<TokenVerifier, 'refresh'>;
}

/** A person in one of their sessions, and the request in which they act. */
export interface FactorCall {
  readonly session: SessionCaller;
  readonly requestId: string;
  readonly remoteAddress: string;
}

/** Factors are changed by whoever showed one at most this long ago. */
export const CHANGE_WITHIN_MS = 5 * 60_000;
/** The first one is enrolled at most this long after signing in. */
export const FIRST_WITHIN_MS = 10 * 60_000;
export const MOST_FACTORS = 10;
export const LONGEST_NAME = 60;

export interface ChangeFacts {
  /** TOTP and passkeys; recovery codes alone are no factor to enrol by. */
  readonly factors: number;
  readonly signedInAt: number;
  readonly factorAt: number | null;
}

/** What must be done first. */
export type ChangeFault = 'show-factor' | 'sign-in-again';

/** Why factors may not be changed now, or undefined. Times in milliseconds since the Unix epoch. */
export function changeFault(facts: ChangeFacts, nowMs: number): ChangeFault | undefined {
  if (facts.factors > 0) {
    const fresh = facts.factorAt !== null && nowMs - facts.factorAt <= CHANGE_WITHIN_MS;
    return fresh ? undefined : 'show-factor';
  }
  return nowMs - facts.signedInAt <= FIRST_WITHIN_MS ? undefined : 'sign-in-again';
}

/** A name as it is kept: no control characters, at most LONGEST_NAME characters, never empty. */
export function factorName(text: string | undefined, otherwise: string): string {
  const clean = (text ?? '')
    .replaceAll(/\p{C}+/gu, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return clean === '' ? otherwise : [...clean].slice(0, LONGEST_NAME).join('').trim();
}
