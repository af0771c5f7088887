/**
 * The rules that decide, as data: each names what it demands, when it is met, and what would change a denial. All must be
 * met (deny overrides); there is no rule that lets something through past another. Cedar takes this place with the
 * identity, policy and audit issue; the vocabulary (action, resource, findings) stays.
 */
import type { Caller, Role } from '../identity/index.ts';
import type { RuleFinding } from '../problems.ts';

/** What is acted on, as far as policy looks at it. */
export interface PolicyResource {
  readonly project?: string;
  readonly environment?: string;
  readonly enclave?: 'open' | 'moderate';
}

export interface PolicyQuestion {
  readonly caller: Caller;
  /** A scope, or one of the actions for persons and nodes. */
  readonly action: Action;
  readonly resource: PolicyResource;
}

/** Actions beyond the scopes; no token can hold them. */
export const ROLE_ACTIONS = {
  'token:mint': ['administrator'],
  'token:read': ['administrator', 'security', 'operator'],
  'token:revoke': ['administrator', 'security'],
  'audit:verify': ['administrator', 'security', 'operator'],
  'node:read': ['administrator', 'operator', 'security'],
} as const satisfies Record<string, readonly Role[]>;

export type RoleAction = keyof typeof ROLE_ACTIONS;
export type Action = import('../identity/index.ts').Scope | RoleAction | 'node:sync' | 'self:read' | 'self:revoke';

/** Roles that may see everything of every project. */
const READERS: readonly Role[] = ['administrator', 'operator', 'security'];

interface Rule {
  readonly name: string;
  /** Undefined where the rule is met or does not apply; else what would change the denial. */
  readonly objection: (question: PolicyQuestion) => string | undefined;
}

const isRoleAction = (action: Action): action is RoleAction => Object.hasOwn(ROLE_ACTIONS, action);

export const RULES: readonly Rule[] = [
  {
    name: 'caller-is-known',
    objection: ({ caller }) => (caller.kind === 'anonymous' ? 'sign in, or send a project access token' : undefined),
  },
  {
    name: 'node-acts-for-itself-only',
    objection: ({ caller, action }) => {
      if ((caller.kind === 'node') === (action === 'node:sync')) return undefined;
      if (caller.kind === 'node') return `a streaming node's bearer may only do node:sync, not ${action}`;
      return 'only the bearer of a data streaming node may do this';
    },
  },
  {
    name: 'role-allows-action',
    objection: ({ caller, action }) => {
      if (!isRoleAction(action)) return undefined;
      const roles: readonly Role[] = ROLE_ACTIONS[action];
      if (caller.kind === 'session' && caller.roles.some((r) => roles.includes(r))) return undefined;
      return `${action} needs a session with one of the roles ${roles.join(', ')}`;
    },
  },
  {
    name: 'token-holds-scope',
    objection: ({ caller, action }) => {
      if (
        caller.kind !== 'token' ||
        isRoleAction(action) ||
        action === 'self:read' ||
        action === 'self:revoke' ||
        action === 'node:sync'
      )
        return undefined;
      return caller.scopes.includes(action)
        ? undefined
        : `mint a token that holds the scope ${action}; this one holds ${caller.scopes.join(' ')}`;
    },
  },
  {
    name: 'session-sees-project',
    objection: ({ caller, action, resource }) => {
      if (caller.kind !== 'session' || isRoleAction(action) || action === 'self:read' || action === 'self:revoke')
        return undefined;
      const administrator = caller.roles.includes('administrator');
      if (administrator) return undefined;
      const reads = action.endsWith(':read') && caller.roles.some((r) => READERS.includes(r));
      if (reads || (resource.project !== undefined && caller.projects.includes(resource.project))) return undefined;
      return `a session needs membership of project ${resource.project ?? '(none named)'} for ${action}`;
    },
  },
  {
    name: 'token-covers-project',
    objection: ({ caller, resource }) => {
      if (caller.kind !== 'token' || resource.project === undefined || resource.project === caller.project)
        return undefined;
      return `the token is for project ${caller.project}`;
    },
  },
  {
    name: 'token-covers-enclave',
    objection: ({ caller, resource }) => {
      if (caller.kind !== 'token' || resource.enclave === undefined || resource.enclave === caller.enclave)
        return undefined;
      return `the token is for the ${caller.enclave} enclave; ${resource.environment ?? 'this'} is in the ${resource.enclave} one`;
    },
  },
  {
    name: 'token-covers-environment',
    objection: ({ caller, resource }) => {
      if (
        caller.kind !== 'token' ||
        resource.environment === undefined ||
        caller.environments.includes(resource.environment)
      )
        return undefined;
      return `mint a token for ${resource.environment}; this one is for ${caller.environments.join(', ')}`;
    },
  },
];

export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly rules: readonly RuleFinding[] };
