/** Second factors over HTTP: what needs no browser. */
import {
  type Caller,
  type FactorCall,
  type FactorDeps,
  factorsOf,
  removeFactor,
  resetFactors,
} from '../../identity/index.ts';
import { Problem } from '../../problems.ts';
import type { Routes } from '../route.ts';

type FactorRoutes = Pick<Routes, 'factor.list' | 'factor.remove' | 'factor.reset'>;

export function factorRoutes(deps: FactorDeps): FactorRoutes {
  return {
    'factor.list': {
      async handle(call) {
        const { session } = factorCall(call);
        const factors = await factorsOf(deps.db, session.subject);
        return {
          factors: factors.map((factor) => ({
            ...factor,
            createdAt: factor.createdAt.toISOString(),
            lastUsedAt: factor.lastUsedAt?.toISOString() ?? null,
          })),
          shownAt: session.assurance.factorAt === null ? null : new Date(session.assurance.factorAt).toISOString(),
        };
      },
    },
    'factor.remove': {
      locate: ({ params }) => ({ resource: {}, label: `factor/${params.id}` }),
      handle: async (call) => ({ removed: [...(await removeFactor(deps, factorCall(call), call.params.id))] }),
    },
    'factor.reset': {
      locate: ({ body }) => ({ resource: { subject: body.subject }, label: `person/${body.subject}` }),
      async handle(call) {
        const { subject } = call.body;
        return { subject, removed: [...(await resetFactors(deps, factorCall(call), subject))] };
      },
    },
  };
}

/** Policy has let sessions through and nobody else. */
function factorCall(call: {
  readonly caller: Caller;
  readonly requestId: string;
  readonly remoteAddress: string;
}): FactorCall {
  const { caller: session, requestId, remoteAddress } = call;
  if (session.kind !== 'session') throw new Problem('refused', 'Second factors belong to people.');
  return { session, requestId, remoteAddress };
}
