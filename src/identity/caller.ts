/**
 * Who is calling: the first argument of every use case. Made by `verify-token`, never by hand outside tests.
 * Two bearers (architecture.md 3b): a project access token, and a person's session; beside them a streaming node's own.
 */
import type { Scope } from './scope.ts';

export const ROLES = ['member', 'project-lead', 'approver', 'operator', 'security', 'administrator'] as const;
export type Role = (typeof ROLES)[number];

export interface TokenCaller {
  readonly kind: 'token';
  readonly id: string;
  /** The person who answers for the token. */
  readonly subject: string;
  readonly project: string;
  readonly enclave: 'open' | 'moderate';
  readonly environments: readonly string[];
  readonly scopes: readonly Scope[];
}

export interface SessionCaller {
  readonly kind: 'session';
  readonly id: string;
  readonly subject: string;
  readonly roles: readonly Role[];
  /** Projects of which the person is a member; an administrator, operator or security officer sees all. */
  readonly projects: readonly string[];
}

export interface NodeCaller {
  readonly kind: 'node';
  readonly id: string;
  /** The data streaming node's name in facility.yaml. */
  readonly subject: string;
}

/** Parts of Beamway acting on their own: reconcilers, the run executor. Named in the audit log. */
export interface SystemCaller {
  readonly kind: 'system';
  readonly id: string;
  readonly subject: string;
}

export interface AnonymousCaller {
  readonly kind: 'anonymous';
  readonly id: 'anonymous';
  readonly subject: 'anonymous';
}

export type Caller = TokenCaller | SessionCaller | NodeCaller | SystemCaller | AnonymousCaller;

export const ANONYMOUS: AnonymousCaller = { kind: 'anonymous', id: 'anonymous', subject: 'anonymous' };

export function systemCaller(part: string): SystemCaller {
  return { kind: 'system', id: part, subject: part };
}
