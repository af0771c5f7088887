/**
 * A token with `token:delegate` mints a narrower child: scopes and environments a subset, life no longer, depth bounded. The paper's "delegate
 * secure access tokens to software". Revoking a token revokes all below it.
 */
import { transaction } from '../database/index.ts';
import { type FieldError, Problem } from '../problems.ts';
import type { Caller } from './caller.ts';
import { type IssueDeps, type IssuedToken, issue } from './issue-token.ts';
import { isScope, type Scope } from './scope.ts';
import { holdToken } from './store.ts';
import { PLAIN_TOKEN, type Token, tokenState } from './token.ts';

/** Delegations below a minted token: person, service, workflow, step. */
export const MOST_DEPTH = 4;

export interface DelegateInput {
  /** Default: the parent's. */
  readonly environments?: readonly string[] | undefined;
  readonly scopes: readonly string[];
  readonly lifetimeSeconds: number;
  readonly description?: string | undefined;
}

/** Everything in which the child would be wider than its parent. Pure. `nowMs` in milliseconds since the Unix epoch. */
export function delegationFaults(parent: Token, input: DelegateInput, nowMs: number): readonly FieldError[] {
  const errors: FieldError[] = [];
  const wrong = (pointer: string, detail: string): void => void errors.push({ pointer, detail });
  if (parent.depth >= MOST_DEPTH) wrong('#/', `at most ${MOST_DEPTH} delegations below a minted token`);
  if (input.scopes.length === 0) wrong('#/scopes', 'at least one scope');
  for (const [i, scope] of input.scopes.entries()) {
    if (!isScope(scope)) wrong(`#/scopes/${i}`, `no scope ${scope}`);
    else if (!parent.scopes.includes(scope)) wrong(`#/scopes/${i}`, `the parent does not hold ${scope}`);
  }
  const environments = input.environments ?? parent.environments;
  if (environments.length === 0) wrong('#/environments', 'at least one environment');
  for (const [i, name] of environments.entries()) {
    if (!parent.environments.includes(name)) wrong(`#/environments/${i}`, `the parent is not for ${name}`);
  }
  const left = Math.floor((parent.expiresAt.getTime() - nowMs) / 1000);
  if (input.lifetimeSeconds > left) wrong('#/lifetimeSeconds', `at most ${left}, the parent's own rest`);
  return errors;
}

/** Throws `invalid-request` with every field in which the child would be wider; `token-revoked` where the parent was revoked meanwhile. */
export async function delegateToken(deps: IssueDeps, caller: Caller, input: DelegateInput): Promise<IssuedToken> {
  return transaction(deps.db, async (trx) => {
    // Held to the end: a revocation of the parent comes before or after, and after means the child is revoked with it.
    const parent = await holdToken(trx, caller.id);
    if (parent === undefined || parent.kind !== 'token') {
      throw new Problem('refused', 'Only a project access token delegates.', {
        rules: [{ rule: 'only-tokens-delegate', detail: 'use token mint with a session' }],
      });
    }
    const now = deps.clock.now();
    if (tokenState(parent, now) !== 'active')
      throw new Problem('token-revoked', `Token ${parent.id} is ${tokenState(parent, now)}.`);
    const errors = delegationFaults(parent, input, now);
    if (errors.length > 0)
      throw new Problem('invalid-request', 'The child would be wider than its parent.', { errors });
    return issue({ db: trx, clock: deps.clock }, 'token', {
      ...PLAIN_TOKEN,
      subject: parent.subject,
      description: input.description ?? '',
      parent: parent.id,
      depth: parent.depth + 1,
      project: parent.project,
      enclave: parent.enclave,
      environments: [...new Set(input.environments ?? parent.environments)],
      scopes: [...new Set(input.scopes)] as readonly Scope[],
      roles: [],
      createdBy: caller.id,
      notBefore: new Date(now),
      expiresAt: new Date(now + input.lifetimeSeconds * 1000),
    });
  });
}
