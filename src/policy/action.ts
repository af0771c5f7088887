/** Everything that policy decides on, in six groups; facility/policies/schema.cedarschema declares the same list (a test holds them together). */
import { ALL_SCOPES, type Scope } from '../identity/index.ts';

const STAFF = [
  'token:mint',
  'token:read',
  'token:revoke',
  'token:introspect',
  'session:revoke',
  'key:rotate',
  'person:read',
  'person:import',
  'person:reset-factor',
  'lockdown:set',
  'audit:verify',
  'audit:export',
  'audit:checkpoint',
  'node:read',
  'policy:explain',
] as const;
const OWN = ['self:read', 'self:revoke', 'self:renew', 'self:rotate', 'self:hop-token', 'factor:manage'] as const;
const NODE = ['node:sync'] as const;
const AGENT = ['cluster:link'] as const;
const FOREIGN = ['token:exchange'] as const;

export type Action =
  | Scope
  | (typeof STAFF)[number]
  | (typeof OWN)[number]
  | (typeof NODE)[number]
  | (typeof AGENT)[number]
  | (typeof FOREIGN)[number];

export const ACTIONS: readonly Action[] = [...ALL_SCOPES, ...STAFF, ...OWN, ...NODE, ...AGENT, ...FOREIGN];

const READING: ReadonlySet<Action> = new Set(['audit:verify', 'audit:export', 'token:introspect', 'policy:explain']);

const KNOWN: ReadonlySet<string> = new Set(ACTIONS);

export function isAction(text: string): text is Action {
  return KNOWN.has(text);
}

/** Changes nothing: a role that reads everything may do it. */
export function isReading(action: Action): boolean {
  return action.endsWith(':read') || READING.has(action);
}
