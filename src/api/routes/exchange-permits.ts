/**
 * What the pipeline does for a caller, done for whoever exchanges a token: POST /oauth/token carries its bearer in the body, so the pipeline sees nobody.
 * A token of ours is under the limits of the class `mint`, asked as in self.delegate, spent and flagged; another issuer's person is asked as `token:exchange`.
 */
import type { ExchangeDeps, Ruling } from '../../identity/index.ts';
import { type Action, childWish, type PolicyQuestion, refusalOf, wishedToken } from '../../policy/index.ts';
import { OPERATIONS } from '../contract/index.ts';
import type { OauthDeps } from './oauth-routes.ts';

export type PermitDeps = Pick<
  OauthDeps,
  'policy' | 'facility' | 'clock' | 'limits' | 'tokenUse' | 'circumstances' | 'lockedDown'
>;

const DELEGATE: Action = 'token:delegate';
const operation = OPERATIONS['oauth.token'];

export function exchangePermits(deps: PermitDeps): Pick<ExchangeDeps, 'permitDelegation' | 'permitExchange'> {
  const ask = (question: PolicyQuestion): Ruling => {
    const decision = deps.policy.decide(question);
    const asked = { question: deps.policy.record(question, decision) };
    return decision.allowed ? { asked } : { asked, refusal: refusalOf(question, decision) };
  };
  return {
    async permitDelegation(caller, wish) {
      const call = { caller, operation, limited: [] };
      await deps.limits.caller(call);
      const resource = childWish(caller, wish);
      const circumstances = deps.circumstances(caller, DELEGATE);
      const ruling = ask({ caller, action: DELEGATE, resource, circumstances });
      if (ruling.refusal !== undefined) return ruling;
      // Of its own only: a bucket for every name that somebody makes up would be a way to fill the memory.
      const own = caller.environments.filter((name) => wish.environments?.includes(name) ?? true);
      for (const environment of own) await deps.limits.located(call, { project: caller.project, environment });
      await deps.tokenUse.spend(caller, DELEGATE);
      if (!deps.tokenUse.flag(caller, DELEGATE)) return ruling;
      return { asked: { ...ruling.asked, outsidePurpose: true } };
    },
    permitExchange: (who, wish) =>
      ask({
        caller: who,
        action: 'token:exchange',
        resource: wishedToken(deps.facility, who, wish),
        circumstances: { now: deps.clock.now(), lockdown: deps.lockedDown() },
      }),
  };
}
