/** Policy over HTTP. */
import type { Clock } from '../../clock.ts';
import { jobById } from '../../compute/index.ts';
import type { Queries } from '../../database/index.ts';
import type { Environment, Facility } from '../../facility/index.ts';
import {
  type Caller,
  callerOf,
  lastLockdown,
  type SettledRoles,
  type Token,
  tokenById,
  withStanding,
} from '../../identity/index.ts';
import { runById } from '../../pathway/index.ts';
import {
  ACTIONS,
  type Action,
  explainAt,
  isAction,
  type Policy,
  type PolicyResource,
  resourceOf,
  tokenResource,
  wishedToken,
} from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import { streamById } from '../../streaming/index.ts';
import type { Query } from '../contract/operation.ts';
import type { explainPolicy } from '../contract/policy.ts';
import type { Routes } from '../route.ts';

export interface PolicyRouteDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: Facility;
  readonly policy: Policy;
  readonly withinPurpose: (caller: Caller, action: Action) => boolean;
  /** Facility roles by subject, beside those of the sources of people. */
  readonly settled: SettledRoles;
}

type Asked = Query<typeof explainPolicy>;

export function policyRoutes(deps: PolicyRouteDeps): Pick<Routes, 'policy.explain'> {
  return {
    'policy.explain': {
      async handle({ query }) {
        const { action } = query;
        if (!isAction(action)) throw wrong('action', `No action ${action}.`, `one of ${ACTIONS.join(', ')}`);
        const token = await tokenById(deps.db, query.as);
        if (token === undefined) throw new Problem('not-found', `No token ${query.as}.`);
        const at = query.at === undefined ? deps.clock.now() : Date.parse(query.at);
        const { caller, refusal } = await callerAt(deps, token, at);
        const resource = await resourceFor(deps, { query, action, token, caller });
        const lockdown = await lockedDownAt(deps.db, at);
        const explanation = explainAt(deps.policy, {
          token,
          caller,
          action,
          resource,
          circumstances: { now: at, lockdown, withinPurpose: deps.withinPurpose(caller, action) },
        });
        return {
          ...explanation,
          at: new Date(at).toISOString(),
          policyDigest: deps.policy.digest(),
          lockdown,
          resource: Object.fromEntries(
            Object.entries(resource).map(([k, v]) => [k, typeof v === 'string' ? v : [...v]] as const),
          ),
          allowed: explanation.allowed && refusal === undefined,
          rules: refusal === undefined ? explanation.rules.map((r) => ({ ...r })) : [refusal],
          notes: [...explanation.notes],
        };
      },
    },
  };
}

const wrong = (field: keyof Asked, message: string, detail: string): Problem =>
  new Problem('invalid-request', message, { errors: [{ pointer: `query:/${field}`, detail }] });

/** With the memberships that are known now and were not over at that time; a person who is disabled is refused whatever the policies say. */
async function callerAt(
  { db, settled }: PolicyRouteDeps,
  token: Token,
  at: number,
): Promise<{ readonly caller: Caller; readonly refusal?: { readonly rule: string; readonly detail: string } }> {
  const caller = callerOf(token);
  try {
    return await withStanding(db, caller, { nowMs: at, settled });
  } catch (thrown) {
    if (!(thrown instanceof Problem)) throw thrown;
    return { caller, refusal: { rule: 'person-is-active', detail: thrown.message } };
  }
}

interface Question {
  readonly query: Asked;
  readonly action: Action;
  readonly token: Token;
  readonly caller: Caller;
}

/** What is named, filled up from the thing itself, then from the token. Throws `invalid-request` and `not-found`. */
async function resourceFor(deps: PolicyRouteDeps, question: Question): Promise<PolicyResource> {
  const { query, action, token, caller } = question;
  const thing = query.resource === undefined ? {} : await thingNamed(deps, query.resource);
  const environment = environmentNamed(deps.facility, query.environment ?? thing.environment);
  const project = query.project ?? thing.project ?? token.project ?? undefined;
  if (action === 'token:mint') {
    if (project === undefined) throw wrong('project', 'It is not clear what would be minted.', 'name the project');
    const scopes = (query.scopes ?? '').split(',').filter((s) => s !== '');
    const environments = environment === undefined ? [] : [environment.name];
    return wishedToken(deps.facility, caller, { project, environments, scopes });
  }
  return {
    ...thing,
    ...(project === undefined ? {} : { project }),
    ...(environment === undefined ? {} : { environment: environment.name, enclave: environment.enclave }),
    ...(query.tier === undefined ? {} : { tier: query.tier }),
  };
}

function environmentNamed(facility: Facility, name: string | undefined): Environment | undefined {
  if (name === undefined) return undefined;
  const found = facility.environments.get(name);
  if (found === undefined)
    throw wrong('environment', `No environment ${name}.`, [...facility.environments.keys()].join(', '));
  return found;
}

async function thingNamed({ db, facility }: PolicyRouteDeps, name: string): Promise<PolicyResource> {
  const kind = /^([a-z]{3})_/.exec(name)?.[1];
  if (kind === undefined) {
    if (!facility.projects.has(name))
      throw wrong('resource', `No project ${name}.`, 'the id of a job, stream, run or token, or the name of a project');
    return { project: name };
  }
  if (kind === 'tok') {
    const token = await tokenById(db, name);
    if (token !== undefined) return tokenResource(token);
  }
  const look = kind === 'job' ? jobById : kind === 'str' ? streamById : kind === 'run' ? runById : undefined;
  const found = await look?.(db, name);
  if (found === undefined) throw new Problem('not-found', `Nothing has the id ${name}.`);
  return resourceOf(facility, found);
}

/** As far as the last lockdown says: what was before it is not looked at. */
async function lockedDownAt(db: Queries, at: number): Promise<boolean> {
  const last = await lastLockdown(db);
  if (last === undefined || at < last.at.getTime()) return false;
  return last.liftedAt === null || at < last.liftedAt.getTime();
}
