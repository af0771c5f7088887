/**
 * Mints a project access token: one project, one enclave, a non-empty set of its environments, scopes, an expiry. The value is
 * returned once and never stored. Also issues sessions (`--dev`, `admin init`) and the bearer of a streaming node.
 */
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import type { Facility } from '../facility/index.ts';
import { newId } from '../id.ts';
import { type FieldError, Problem } from '../problems.ts';
import type { Caller, Role } from './caller.ts';
import { isScope, type Scope } from './scope.ts';
import { insertToken } from './store.ts';
import { PLAIN_TOKEN, type Token } from './token.ts';
import { type BearerKind, bearerDigest, newBearer } from './token-text.ts';

export interface IssueDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: Facility;
}

export interface IssueTokenInput {
  readonly project: string;
  readonly environments: readonly string[];
  readonly scopes: readonly string[];
  readonly lifetimeSeconds: number;
  readonly description?: string | undefined;
  readonly subject?: string | undefined;
  readonly notBefore?: string | undefined;
}

export interface IssuedToken {
  readonly token: Token;
  /** The bearer itself: shown once, never logged. */
  readonly value: string;
}

/** Throws `invalid-request` listing every field that is wrong. */
export async function issueToken(deps: IssueDeps, caller: Caller, input: IssueTokenInput): Promise<IssuedToken> {
  const errors: FieldError[] = [];
  const wrong = (pointer: string, detail: string): void => void errors.push({ pointer, detail });
  const project = deps.facility.projects.get(input.project);
  if (project === undefined) wrong('#/project', `no project ${input.project}`);
  const environments = input.environments.flatMap((name, i) => {
    const environment = deps.facility.environments.get(name);
    if (environment === undefined) wrong(`#/environments/${i}`, `no environment ${name}`);
    else if (project !== undefined && !project.environments.includes(name))
      wrong(`#/environments/${i}`, `project ${project.name} is not in ${name}`);
    return environment === undefined ? [] : [environment];
  });
  if (input.environments.length === 0) wrong('#/environments', 'at least one environment');
  const enclave = environments[0]?.enclave;
  if (environments.some((e) => e.enclave !== enclave)) {
    wrong(
      '#/environments',
      `one token is for one enclave; these span two: ${environments.map((e) => `${e.name} is ${e.enclave}`).join(', ')}`,
    );
  }
  const scopes = input.scopes.flatMap((scope, i): Scope[] => {
    if (isScope(scope)) return [scope];
    wrong(`#/scopes/${i}`, `no scope ${scope}`);
    return [];
  });
  if (input.scopes.length === 0) wrong('#/scopes', 'at least one scope');
  const longestHours = Math.min(...environments.map((e) => e.tokens.maxLifetimeHours));
  if (input.lifetimeSeconds > longestHours * 3600)
    wrong('#/lifetimeSeconds', `at most ${longestHours} h in ${environments.map((e) => e.name).join(', ')}`);
  const notBefore = input.notBefore === undefined ? deps.clock.now() : Date.parse(input.notBefore);
  if (Number.isNaN(notBefore)) wrong('#/notBefore', 'an ISO 8601 time');
  if (errors.length > 0) throw new Problem('invalid-request', 'The token cannot be minted as asked.', { errors });
  return issue(deps, 'token', {
    ...PLAIN_TOKEN,
    subject: input.subject ?? caller.subject,
    description: input.description ?? '',
    parent: null,
    depth: 0,
    project: input.project,
    enclave: enclave ?? null,
    environments: [...new Set(input.environments)],
    scopes: [...new Set(scopes)],
    roles: [],
    createdBy: caller.id,
    notBefore: new Date(notBefore),
    expiresAt: new Date(notBefore + input.lifetimeSeconds * 1000),
  });
}

/** A person's session. Its own sign-in comes with the identity issue; here it is made by `up --dev` and `admin init`. */
export async function issueSession(
  deps: IssueDeps,
  person: {
    readonly subject: string;
    readonly roles: readonly Role[];
    readonly lifetimeSeconds: number;
    readonly by: string;
  },
): Promise<IssuedToken> {
  return issuePlain(deps, 'session', person);
}

/** The bearer with which a data streaming node speaks to the control plane. */
export async function issueNodeBearer(
  deps: IssueDeps,
  node: { readonly name: string; readonly lifetimeSeconds: number; readonly by: string },
): Promise<IssuedToken> {
  return issuePlain(deps, 'node', {
    subject: node.name,
    roles: [],
    lifetimeSeconds: node.lifetimeSeconds,
    by: node.by,
  });
}

function issuePlain(
  deps: IssueDeps,
  kind: 'session' | 'node',
  bearer: {
    readonly subject: string;
    readonly roles: readonly Role[];
    readonly lifetimeSeconds: number;
    readonly by: string;
  },
): Promise<IssuedToken> {
  const now = deps.clock.now();
  return issue(deps, kind, {
    ...PLAIN_TOKEN,
    methods: kind === 'session' ? ['issued'] : [],
    subject: bearer.subject,
    description: kind === 'node' ? `data streaming node ${bearer.subject}` : `session of ${bearer.subject}`,
    parent: null,
    depth: 0,
    project: null,
    enclave: null,
    environments: [],
    scopes: [],
    roles: bearer.roles,
    createdBy: bearer.by,
    notBefore: new Date(now),
    expiresAt: new Date(now + bearer.lifetimeSeconds * 1000),
  });
}

export async function issue(
  deps: Pick<IssueDeps, 'db' | 'clock'>,
  kind: BearerKind,
  fields: Omit<Token, 'id' | 'kind' | 'createdAt' | 'revokedAt' | 'revokedBy'>,
): Promise<IssuedToken> {
  const value = newBearer(kind);
  const token: Token = {
    ...fields,
    id: newId('tok'),
    kind,
    createdAt: new Date(deps.clock.now()),
    revokedAt: null,
    revokedBy: null,
  };
  await insertToken(deps.db, token, bearerDigest(value));
  return { token, value };
}
