/**
 * Who is calling: the first argument of every use case. Made by `verify-token`, never by hand outside tests.
 * Two bearers (architecture.md 3b): a project access token, and a person's session; beside them a streaming node's own.
 */
import type { Scope } from './scope.ts';

export const ROLES = ['member', 'project-lead', 'approver', 'operator', 'security', 'administrator'] as const;
export type Role = (typeof ROLES)[number];

/** Of the data that a token is for, least to most. */
export const CLASSIFICATIONS = ['public', 'proprietary', 'controlled'] as const;
export type Classification = (typeof CLASSIFICATIONS)[number];

/** How strong a sign-in was (architecture.md, words: assurance). */
export interface Assurance {
  /** `oidc`, `local`, `totp`, `webauthn`, `recovery-code`, `break-glass`, `issued` (by up --dev or admin init). */
  readonly methods: readonly string[];
  /** When a second factor was last shown, milliseconds since the Unix epoch; null: never in this session. */
  readonly factorAt: number | null;
}

export interface TokenCaller {
  readonly kind: 'token';
  readonly id: string;
  /** The person who answers for the token. */
  readonly subject: string;
  readonly project: string;
  readonly enclave: 'open' | 'moderate';
  readonly environments: readonly string[];
  readonly scopes: readonly Scope[];
  /** What the token was asked for, a name of facility/token-rules.yaml; empty: not stated. */
  readonly purpose: string;
  readonly classification: Classification;
  /** Its uses are counted: each request that it authorizes takes one. */
  readonly bounded?: true;
}

export interface SessionCaller {
  readonly kind: 'session';
  readonly id: string;
  readonly subject: string;
  readonly roles: readonly Role[];
  /** Projects of which the person is a member; an administrator, operator or security officer sees all. */
  readonly projects: readonly string[];
  /** Of these, the ones they lead: there they see to other members' tokens. Default: none. */
  readonly leads?: readonly string[];
  readonly assurance: Assurance;
}

export interface NodeCaller {
  readonly kind: 'node';
  readonly id: string;
  /** The data streaming node's name in facility.yaml, or `agentSubject` of a cluster. */
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

const AGENT_PREFIX = 'slurm:';

/** What the bearer of a cluster's Slurm agent is named by. No streaming node's name holds a colon. */
export function agentSubject(cluster: string): string {
  return `${AGENT_PREFIX}${cluster}`;
}

/** Of which cluster a bearer is the Slurm agent's; undefined: of none. */
export function clusterOfAgent(of: { readonly kind: string; readonly subject: string }): string | undefined {
  return of.kind === 'node' && of.subject.startsWith(AGENT_PREFIX) ? of.subject.slice(AGENT_PREFIX.length) : undefined;
}

export type Caller = TokenCaller | SessionCaller | NodeCaller | SystemCaller | AnonymousCaller;

export const ANONYMOUS: AnonymousCaller = { kind: 'anonymous', id: 'anonymous', subject: 'anonymous' };

export function systemCaller(part: string): SystemCaller {
  return { kind: 'system', id: part, subject: part };
}
