/**
 * A bearer as a row: who holds it, what it may do, from when to when. Pure state: active, not yet valid, expired, revoked.
 */

import type { Caller, Classification, Role } from './caller.ts';
import type { Scope } from './scope.ts';
import type { BearerKind } from './token-text.ts';

export interface Token {
  readonly id: string;
  readonly kind: BearerKind;
  readonly subject: string;
  readonly description: string;
  /** The token this one was delegated from; null for one that a person minted. */
  readonly parent: string | null;
  /** 0 for a minted token, one more for each delegation. */
  readonly depth: number;
  readonly project: string | null;
  readonly enclave: 'open' | 'moderate' | null;
  readonly environments: readonly string[];
  readonly scopes: readonly Scope[];
  readonly roles: readonly Role[];
  /** What it is for, a name of facility/token-rules.yaml; empty: not stated. */
  readonly purpose: string;
  readonly classification: Classification;
  /** CIDRs it may be used from; empty: from anywhere. */
  readonly sources: readonly string[];
  /** Requests it may authorize in its life; null: no such bound. 1 is a one-time token. */
  readonly maxUses: number | null;
  readonly uses: number;
  /** Of maxUses, those that were given to children when they were delegated; never given back. */
  readonly reservedUses: number;
  /** The software that holds it may renew it up to here; null: a person must mint a new one. */
  readonly renewableUntil: Date | null;
  /** The token that this one replaces (rotation); both are valid while they overlap. */
  readonly replaces: string | null;
  /** Of a session: how its person signed in, and when a second factor was last shown. */
  readonly methods: readonly string[];
  readonly factorAt: Date | null;
  /** Of a session that lives in a browser: SHA-256 of the browser's own cookie, without which it is not believed. */
  readonly browser: Buffer | null;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly notBefore: Date;
  readonly expiresAt: Date;
  /** The life that was asked for, and that a renewal gives again unless told otherwise. */
  readonly lifetimeSeconds: number;
  readonly revokedAt: Date | null;
  readonly revokedBy: string | null;
}

export type TokenState = 'active' | 'not-yet-valid' | 'expired' | 'revoked';

/** What a bearer has where nothing else was asked for. */
export const PLAIN_TOKEN = {
  purpose: '',
  classification: 'public',
  sources: [],
  maxUses: null,
  uses: 0,
  reservedUses: 0,
  /** 0: from its start to its end (filled in when it is issued). */
  lifetimeSeconds: 0,
  renewableUntil: null,
  replaces: null,
  methods: [],
  factorAt: null,
  browser: null,
} as const satisfies Partial<Token>;

/** The clocks of two replicas may differ by this much: a token minted on one is believed at once on the other. */
export const START_LEEWAY_MS = 2000;

/** Revocation is final, so it hides expiry. `nowMs` in milliseconds since the Unix epoch; `leewayMs` is forgiven at the start, never at the end. */
export function tokenState(token: Token, nowMs: number, leewayMs = 0): TokenState {
  if (token.revokedAt !== null) return 'revoked';
  if (nowMs >= token.expiresAt.getTime()) return 'expired';
  if (nowMs + leewayMs < token.notBefore.getTime()) return 'not-yet-valid';
  return 'active';
}

/** Requests it may still authorize; null: no bound. */
export function usesLeft(token: Pick<Token, 'maxUses' | 'uses' | 'reservedUses'>): number | null {
  return token.maxUses === null ? null : token.maxUses - token.uses - token.reservedUses;
}

/** The caller that a verified bearer stands for. */
export function callerOf(token: Token): Caller {
  if (token.kind === 'session') {
    return {
      kind: 'session',
      id: token.id,
      subject: token.subject,
      roles: token.roles,
      // Filled in by the verifier: memberships change while a session lives.
      projects: [],
      assurance: { methods: token.methods, factorAt: token.factorAt?.getTime() ?? null },
    };
  }
  if (token.kind === 'node') return { kind: 'node', id: token.id, subject: token.subject };
  if (token.project === null || token.enclave === null) throw new Error(`token ${token.id} has no project or enclave`);
  const { id, subject, project, enclave, environments, scopes, purpose, classification } = token;
  const own = { kind: 'token', id, subject, project, enclave, environments, scopes, purpose, classification } as const;
  return token.maxUses === null ? own : { ...own, bounded: true };
}
