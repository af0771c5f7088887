/**
 * A bearer as a row: who holds it, what it may do, from when to when. Pure state: active, not yet valid, expired, revoked.
 */

import type { Caller, Role } from './caller.ts';
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
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly notBefore: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
  readonly revokedBy: string | null;
}

export type TokenState = 'active' | 'not-yet-valid' | 'expired' | 'revoked';

/** Revocation is final, so it hides expiry. `nowMs` in milliseconds since the Unix epoch. */
export function tokenState(token: Token, nowMs: number): TokenState {
  if (token.revokedAt !== null) return 'revoked';
  if (nowMs >= token.expiresAt.getTime()) return 'expired';
  if (nowMs < token.notBefore.getTime()) return 'not-yet-valid';
  return 'active';
}

/** The caller that a verified bearer stands for. */
export function callerOf(token: Token): Caller {
  if (token.kind === 'session') {
    return { kind: 'session', id: token.id, subject: token.subject, roles: token.roles, projects: [] };
  }
  if (token.kind === 'node') return { kind: 'node', id: token.id, subject: token.subject };
  if (token.project === null || token.enclave === null) throw new Error(`token ${token.id} has no project or enclave`);
  const { id, subject, project, enclave, environments, scopes } = token;
  return { kind: 'token', id, subject, project, enclave, environments, scopes };
}
