/** The facility's lockdown over HTTP. */
import { type Caller, type LockdownDeps, lastLockdown, liftLockdown, setLockdown } from '../../identity/index.ts';
import { pendingNodes } from '../../streaming/index.ts';
import type { Routes } from '../route.ts';

type LockdownRoutes = Pick<Routes, 'lockdown.show' | 'lockdown.set' | 'lockdown.lift'>;

export interface LockdownRouteDeps extends LockdownDeps {
  /** Which nodes are behind says where a stranger could still get in. */
  readonly mayReadNodes: (caller: Caller) => boolean;
}

export function lockdownRoutes(deps: LockdownRouteDeps): LockdownRoutes {
  const view = async (caller: Caller) => {
    const last = await lastLockdown(deps.db);
    const inForce = last !== undefined && last.liftedAt === null;
    return {
      inForce,
      since: inForce ? last.at.toISOString() : null,
      reason: inForce ? last.reason : null,
      liftedAt: last?.liftedAt?.toISOString() ?? null,
      pendingNodes:
        last === undefined || !deps.mayReadNodes(caller)
          ? []
          : [...(await pendingNodes(deps, last.liftedAt ?? last.at))],
    };
  };
  return {
    'lockdown.show': { handle: ({ caller }) => view(caller) },
    'lockdown.set': {
      locate: () => ({ resource: {}, label: 'lockdown' }),
      async handle({ caller, body }) {
        await setLockdown(deps, caller, body.reason);
        return view(caller);
      },
    },
    'lockdown.lift': {
      locate: () => ({ resource: {}, label: 'lockdown' }),
      async handle({ caller, query }) {
        await liftLockdown(deps, caller, query.reason);
        return view(caller);
      },
    },
  };
}
