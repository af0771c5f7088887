/**
 * Mints a project access token: one project, one enclave, a non-empty set of its environments, scopes, an expiry. The value is
 * returned once and never stored. Also issues sessions (`--dev`, `admin init`) and the bearer of a streaming node.
 */
import type { Clock } from '../clock.ts';
import { type Queries, type TransactionQueries, transaction } from '../database/index.ts';
import type { Facility } from '../facility/index.ts';
import { newId } from '../id.ts';
import { type FieldError, Problem } from '../problems.ts';
import { agentSubject, type Caller, type Classification, clusterOfAgent, type Role } from './caller.ts';
import { holdMinter } from './hold-minter.ts';
import { isScope, type Scope } from './scope.ts';
import { parseRange, rangeText } from './source-ranges.ts';
import { insertToken } from './store.ts';
import { PLAIN_TOKEN, type Token } from './token.ts';
import { ruleFaults, type TokenRules } from './token-rules.ts';
import { type BearerKind, bearerDigest, newBearer } from './token-text.ts';

export interface IssueDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: Facility;
  readonly rules: TokenRules;
}

/** What may be said of a minted token and of a child; what is left out is the plainest, or the parent's. */
export interface TokenWishes {
  readonly description?: string | undefined;
  /** ISO 8601; default: now. */
  readonly notBefore?: string | undefined;
  readonly purpose?: string | undefined;
  readonly classification?: Classification | undefined;
  /** Addresses or CIDRs; none: from anywhere. */
  readonly sources?: readonly string[] | undefined;
  readonly maxUses?: number | undefined;
  readonly renewableDays?: number | undefined;
}

export interface IssueTokenInput extends TokenWishes {
  readonly project: string;
  readonly environments: readonly string[];
  readonly scopes: readonly string[];
  readonly lifetimeSeconds: number;
  readonly subject?: string | undefined;
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
  const notBefore = input.notBefore === undefined ? deps.clock.now() : Date.parse(input.notBefore);
  const { purpose = '', classification = 'public', sources = [], maxUses = null, renewableDays = 0 } = input;
  errors.push(
    ...ruleFaults(deps.rules, deps.facility, {
      scopes,
      environments: input.environments,
      // Environments of two enclaves are a fault already; the stricter one is asked here.
      enclave: environments.find((e) => e.enclave === 'moderate')?.enclave ?? enclave ?? null,
      lifetimeSeconds: input.lifetimeSeconds,
      purpose,
      classification,
      sources,
      maxUses,
      renewableSeconds: renewableDays * 86_400,
      startsInSeconds: Number.isNaN(notBefore) ? 0 : (notBefore - deps.clock.now()) / 1000,
    }),
  );
  if (Number.isNaN(notBefore)) wrong('#/notBefore', 'an ISO 8601 time');
  if (errors.length > 0) throw new Problem('invalid-request', 'The token cannot be minted as asked.', { errors });
  const mint = async (trx: TransactionQueries): Promise<IssuedToken> => {
    await holdMinter(trx, caller, deps.clock.now());
    return issue({ db: trx, clock: deps.clock }, 'token', {
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
      purpose,
      classification,
      sources: plainSources(sources),
      maxUses,
      renewableUntil: renewableDays === 0 ? null : new Date(notBefore + renewableDays * 86_400_000),
      createdBy: caller.id,
      notBefore: new Date(notBefore),
      expiresAt: new Date(notBefore + input.lifetimeSeconds * 1000),
    });
  };
  return deps.db.isTransaction ? mint(deps.db as TransactionQueries) : transaction(deps.db, mint);
}

/** Ranges in the one way of writing them, each once. Of texts that were checked. */
export function plainSources(sources: readonly string[]): readonly string[] {
  const ranges = sources.map((text) => parseRange(text)).filter((range) => range !== undefined);
  return [...new Set(ranges.map(rangeText))];
}

/** A person's session. Its own sign-in comes with the identity issue; here it is made by `up --dev` and `admin init`. */
export async function issueSession(
  deps: Pick<IssueDeps, 'db' | 'clock'>,
  person: {
    readonly subject: string;
    readonly roles: readonly Role[];
    readonly lifetimeSeconds: number;
    readonly by: string;
    /** How the person signed in; default: `issued`. */
    readonly methods?: readonly string[];
    readonly factorAt?: Date;
    /** SHA-256 of the browser's secret, where it lives in a browser. */
    readonly browser?: Buffer;
  },
): Promise<IssuedToken> {
  return issuePlain(deps, 'session', person);
}

/** The bearer with which a data streaming node speaks to the control plane. */
export async function issueNodeBearer(
  deps: Pick<IssueDeps, 'db' | 'clock'>,
  node: { readonly name: string; readonly lifetimeSeconds: number; readonly by: string },
): Promise<IssuedToken> {
  return issuePlain(deps, 'node', {
    subject: node.name,
    roles: [],
    lifetimeSeconds: node.lifetimeSeconds,
    by: node.by,
  });
}

/** The bearer with which a cluster's Slurm agent asks for its link. */
export async function issueAgentBearer(
  deps: Pick<IssueDeps, 'db' | 'clock'>,
  agent: { readonly cluster: string; readonly lifetimeSeconds: number; readonly by: string },
): Promise<IssuedToken> {
  const { cluster, ...rest } = agent;
  return issuePlain(deps, 'node', { subject: agentSubject(cluster), roles: [], ...rest });
}

function issuePlain(
  deps: Pick<IssueDeps, 'db' | 'clock'>,
  kind: 'session' | 'node',
  bearer: {
    readonly subject: string;
    readonly roles: readonly Role[];
    readonly lifetimeSeconds: number;
    readonly by: string;
    readonly methods?: readonly string[];
    readonly factorAt?: Date;
    readonly browser?: Buffer;
  },
): Promise<IssuedToken> {
  const now = deps.clock.now();
  return issue(deps, kind, {
    ...PLAIN_TOKEN,
    methods: kind === 'session' ? (bearer.methods ?? ['issued']) : [],
    factorAt: bearer.factorAt ?? null,
    browser: bearer.browser ?? null,
    subject: bearer.subject,
    description: describe(kind, bearer.subject),
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

function describe(kind: 'session' | 'node', subject: string): string {
  if (kind === 'session') return `session of ${subject}`;
  const cluster = clusterOfAgent({ kind, subject });
  return cluster === undefined ? `data streaming node ${subject}` : `Slurm agent of cluster ${cluster}`;
}

export async function issue(
  deps: Pick<IssueDeps, 'db' | 'clock'>,
  kind: BearerKind,
  fields: Omit<Token, 'id' | 'kind' | 'createdAt' | 'revokedAt' | 'revokedBy'>,
): Promise<IssuedToken> {
  const value = newBearer(kind);
  const wholeLifeSeconds = Math.max(1, Math.round((fields.expiresAt.getTime() - fields.notBefore.getTime()) / 1000));
  const token: Token = {
    ...fields,
    lifetimeSeconds: fields.lifetimeSeconds === 0 ? wholeLifeSeconds : fields.lifetimeSeconds,
    id: newId('tok'),
    kind,
    createdAt: new Date(deps.clock.now()),
    revokedAt: null,
    revokedBy: null,
  };
  await insertToken(deps.db, token, bearerDigest(value));
  return { token, value };
}
