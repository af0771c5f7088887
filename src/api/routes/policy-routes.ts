/** Policy over HTTP. */
import type { Clock } from '../../clock.ts';
import type { Queries } from '../../database/index.ts';
import type { Facility } from '../../facility/index.ts';
import { callerOf, tokenById, tokenState } from '../../identity/index.ts';
import { ACTIONS, isAction, type Policy, type PolicyResource } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import type { Routes } from '../route.ts';

export interface PolicyRouteDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: Facility;
  readonly policy: Policy;
}

export function policyRoutes(deps: PolicyRouteDeps): Pick<Routes, 'policy.explain'> {
  return {
    'policy.explain': {
      async handle({ query }) {
        const { action } = query;
        if (!isAction(action))
          throw new Problem('invalid-request', `No action ${action}.`, {
            errors: [{ pointer: 'query:/action', detail: `one of ${ACTIONS.join(', ')}` }],
          });
        const token = await tokenById(deps.db, query.as);
        if (token === undefined) throw new Problem('not-found', `No token ${query.as}.`);
        const environment =
          query.environment === undefined ? undefined : deps.facility.environments.get(query.environment);
        if (query.environment !== undefined && environment === undefined) {
          throw new Problem('invalid-request', `No environment ${query.environment}.`, {
            errors: [{ pointer: 'query:/environment', detail: [...deps.facility.environments.keys()].join(', ') }],
          });
        }
        const project = query.project ?? token.project ?? undefined;
        const resource: PolicyResource = {
          ...(project === undefined ? {} : { project }),
          ...(environment === undefined ? {} : { environment: environment.name, enclave: environment.enclave }),
          ...(query.tier === undefined ? {} : { tier: query.tier }),
        };
        const decision = deps.policy.decide({ caller: callerOf(token), action, resource });
        const rules = decision.allowed
          ? decision.rules.map((rule) => ({ rule, detail: 'permits it' }))
          : decision.rules.map((r) => ({ ...r }));
        return {
          allowed: decision.allowed,
          policyDigest: deps.policy.digest(),
          tokenState: tokenState(token, deps.clock.now()),
          rules,
        };
      },
    },
  };
}
