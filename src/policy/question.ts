/** What policy is asked and what it answers. Pure types, and the question's form as Cedar takes it. */
import type { EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import type { Caller } from '../identity/index.ts';
import type { RuleFinding } from '../problems.ts';
import { type Action, isReading } from './action.ts';

/** What is acted on, as far as policy looks at it. */
export interface PolicyResource {
  readonly project?: string;
  readonly environment?: string;
  readonly enclave?: 'open' | 'moderate';
  /** Of a job. */
  readonly tier?: string;
  /** Of a stream. */
  readonly admission?: string;
}

export interface PolicyQuestion {
  readonly caller: Caller;
  readonly action: Action;
  readonly resource: PolicyResource;
}

export type Decision =
  | { readonly allowed: true; readonly rules: readonly string[] }
  | {
      readonly allowed: false;
      readonly rules: readonly RuleFinding[];
      /** The caller must not even learn that the thing exists. */
      readonly hidden: boolean;
      /** The evaluation itself failed: denied because of that, and an alarm. */
      readonly fault?: string;
    };

export interface CedarRequest {
  readonly principal: TypeAndId;
  readonly action: TypeAndId;
  readonly resource: TypeAndId;
  readonly context: { readonly scope: string; readonly reads: boolean };
  readonly entities: EntityJson[];
}

export function cedarRequest({ caller, action, resource }: PolicyQuestion): CedarRequest {
  const principal = { type: principalType(caller), id: caller.id };
  const thing = { type: 'Thing', id: 'thing' };
  return {
    principal,
    action: { type: 'Action', id: action },
    resource: thing,
    context: { scope: action, reads: isReading(action) },
    entities: [
      { uid: principal, attrs: attributesOf(caller), parents: [] },
      { uid: thing, attrs: { ...resource }, parents: [] },
    ],
  };
}

function principalType(caller: Caller): string {
  switch (caller.kind) {
    case 'token':
      return 'Token';
    case 'session':
      return 'Session';
    case 'node':
      return 'StreamingNode';
    case 'anonymous':
      return 'Anonymous';
    case 'system':
      // Parts of Beamway never ask: what they do was allowed to whoever they act for.
      throw new Error(`policy was asked about ${caller.id}, a part of Beamway`);
  }
}

function attributesOf(caller: Caller): EntityJson['attrs'] {
  if (caller.kind === 'token') {
    const { project, enclave, environments, scopes } = caller;
    return { project, enclave, environments: [...environments], scopes: [...scopes] };
  }
  if (caller.kind === 'session') return { roles: [...caller.roles], projects: [...caller.projects] };
  return {};
}

/** `${name}` in a remedy; unknown names stay as they are. */
export function fillRemedy(remedy: string, { caller, action, resource }: PolicyQuestion): string {
  const own: Readonly<Record<string, string>> =
    caller.kind === 'token'
      ? {
          project: caller.project,
          enclave: caller.enclave,
          environments: caller.environments.join(', '),
          scopes: caller.scopes.join(' '),
        }
      : caller.kind === 'session'
        ? { roles: caller.roles.join(', '), projects: caller.projects.join(', ') }
        : {};
  const values: Readonly<Record<string, string | undefined>> = {
    action,
    project: resource.project ?? '(none named)',
    environment: resource.environment ?? '(none named)',
    enclave: resource.enclave,
    tier: resource.tier,
  };
  return remedy.replaceAll(
    /\$\{(own\.)?(\w+)\}/g,
    (text, isOwn: string | undefined, name: string) => (isOwn ? own[name] : values[name]) ?? text,
  );
}
