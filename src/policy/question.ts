/** What policy is asked and what it answers. Pure types, and the question's form as Cedar takes it. */
import type { EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import { type Caller, clusterOfAgent, type ForeignIdentity } from '../identity/index.ts';
import type { RuleFinding } from '../problems.ts';
import { type Action, isReading } from './action.ts';

/** What is acted on, as far as policy looks at it. */
export interface PolicyResource {
  readonly project?: string;
  readonly environment?: string;
  readonly enclave?: 'open' | 'moderate';
  /** Of a job. */
  readonly tier?: string;
  /** Of a link: whose agent's it is. */
  readonly cluster?: string;
  /** Of a stream. */
  readonly admission?: string;
  /** Of a token that is to be minted: the overlays of all of them have their say. */
  readonly environments?: readonly string[];
  /** Of a token, or asked for one that is to be minted. */
  readonly scopes?: readonly string[];
  readonly classification?: string;
  /** The person who answers for it. */
  readonly subject?: string;
}

/** What is so when the question is asked, apart from caller and thing. */
export interface Circumstances {
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** The facility is locked down: nobody mints, paths from outside are shut. */
  readonly lockdown: boolean;
  /** False: the caller's token states a purpose, and this is not what it is for. Default: true. */
  readonly withinPurpose?: boolean;
}

/** Whoever asks: a caller, or another issuer's person, who has no bearer of ours yet. */
export type Asker = Caller | ForeignIdentity;

export interface PolicyQuestion {
  readonly caller: Asker;
  readonly action: Action;
  readonly resource: PolicyResource;
  readonly circumstances: Circumstances;
}

export type Decision =
  | { readonly allowed: true; readonly rules: readonly string[] }
  | {
      readonly allowed: false;
      readonly rules: readonly RuleFinding[];
      /** The caller must not even learn that the thing exists. */
      readonly hidden: boolean;
      /** The evaluation itself failed: denied because of that, and an alarm. By the rule that failed. */
      readonly faults?: readonly RuleFinding[];
    };

export interface CedarRequest {
  readonly principal: TypeAndId;
  readonly action: TypeAndId;
  readonly resource: TypeAndId;
  readonly context: {
    readonly scope: string;
    readonly reads: boolean;
    readonly lockdown: boolean;
    readonly withinPurpose: boolean;
  };
  readonly entities: EntityJson[];
}

/** Policies may ask how old a factor is up to here; older is all the same, so that decisions can be remembered. */
export const OLDEST_FACTOR_MINUTES = 1440;

/** Whole minutes since a second factor was shown; undefined: never in this session. One from the future (a clock that is ahead) is fresh. */
export function factorAgeMinutes(factorAt: number | null, now: number): number | undefined {
  if (factorAt === null) return undefined;
  return Math.min(OLDEST_FACTOR_MINUTES, Math.max(0, Math.floor((now - factorAt) / 60_000)));
}

export function cedarRequest({ caller, action, resource, circumstances }: PolicyQuestion): CedarRequest {
  const principal = { type: principalType(caller), id: caller.id };
  const thing = { type: 'Thing', id: 'thing' };
  return {
    principal,
    action: { type: 'Action', id: action },
    resource: thing,
    context: {
      scope: action,
      reads: isReading(action),
      lockdown: circumstances.lockdown,
      withinPurpose: circumstances.withinPurpose ?? true,
    },
    entities: [
      { uid: principal, attrs: attributesOf(caller, circumstances.now), parents: [] },
      { uid: thing, attrs: thingAttributes(resource), parents: [] },
    ],
  };
}

function principalType(caller: Asker): string {
  switch (caller.kind) {
    case 'token':
      return 'Token';
    case 'session':
      return 'Session';
    case 'node':
      return clusterOfAgent(caller) === undefined ? 'StreamingNode' : 'ClusterAgent';
    case 'foreign':
      return 'ForeignIdentity';
    case 'anonymous':
      return 'Anonymous';
    case 'system':
      // Parts of Beamway never ask: what they do was allowed to whoever they act for.
      throw new Error(`policy was asked about ${caller.id}, a part of Beamway`);
  }
}

function attributesOf(caller: Asker, now: number): EntityJson['attrs'] {
  if (caller.kind === 'token') {
    const { project, enclave, environments, scopes, purpose, classification } = caller;
    return { project, enclave, environments: [...environments], scopes: [...scopes], purpose, classification };
  }
  if (caller.kind === 'session') {
    const { subject, roles, projects, leads = [], assurance } = caller;
    const age = factorAgeMinutes(assurance.factorAt, now);
    return {
      subject,
      roles: [...roles],
      projects: [...projects],
      leads: [...leads],
      methods: [...assurance.methods],
      ...(age === undefined ? {} : { factorAgeMinutes: age }),
    };
  }
  if (caller.kind === 'foreign') return { issuer: caller.issuer, subject: caller.subject };
  const cluster = clusterOfAgent(caller);
  return cluster === undefined ? {} : { cluster };
}

function thingAttributes({ scopes, environments, ...plain }: PolicyResource): EntityJson['attrs'] {
  if (scopes === undefined && environments === undefined) return plain;
  return {
    ...plain,
    ...(scopes === undefined ? {} : { scopes: [...scopes] }),
    ...(environments === undefined ? {} : { environments: [...environments] }),
  };
}

/** `${name}` in a remedy; unknown names stay as they are. */
export function fillRemedy(remedy: string, { caller, action, resource, circumstances }: PolicyQuestion): string {
  const age = caller.kind === 'session' ? factorAgeMinutes(caller.assurance.factorAt, circumstances.now) : undefined;
  const own: Readonly<Record<string, string>> =
    caller.kind === 'foreign'
      ? { issuer: caller.issuer, subject: caller.subject }
      : caller.kind === 'token'
        ? {
            project: caller.project,
            enclave: caller.enclave,
            environments: caller.environments.join(', '),
            scopes: caller.scopes.join(' '),
            purpose: caller.purpose,
            classification: caller.classification,
          }
        : caller.kind === 'session'
          ? {
              roles: caller.roles.join(', ') || '(none)',
              projects: caller.projects.join(', ') || '(none)',
              factor: age === undefined ? 'none was shown in this session' : `the last one was shown ${age} min ago`,
            }
          : { cluster: clusterOfAgent(caller) ?? '(none)' };
  const values: Readonly<Record<string, string | undefined>> = {
    action,
    project: resource.project ?? '(none named)',
    environment: resource.environment ?? (resource.environments?.join(', ') || '(none named)'),
    enclave: resource.enclave,
    tier: resource.tier,
    cluster: resource.cluster,
    scopes: resource.scopes?.join(' '),
    subject: resource.subject,
  };
  return remedy.replaceAll(
    /\$\{(own\.)?(\w+)\}/g,
    (text, isOwn: string | undefined, name: string) => (isOwn ? own[name] : values[name]) ?? text,
  );
}
