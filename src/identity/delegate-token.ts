/**
 * A token with `token:delegate` mints a narrower child: the paper's "delegate secure access tokens to software". Whatever the parent is bound by binds the
 * child as much or more. Revoking a token revokes all below it. Uses of a bounded parent are given to the child at once (never given back), so that no
 * replica has to ask the parent when the child is used.
 */
import { transaction } from '../database/index.ts';
import { type FieldError, Problem } from '../problems.ts';
import { type Caller, CLASSIFICATIONS } from './caller.ts';
import { refuseInLockdown } from './hold-minter.ts';
import { type IssueDeps, type IssuedToken, issue, plainSources, type TokenWishes } from './issue-token.ts';
import { isScope, type Scope } from './scope.ts';
import { isWithin, parseRange } from './source-ranges.ts';
import { holdToken, lockToken } from './store.ts';
import { PLAIN_TOKEN, START_LEEWAY_MS, type Token, tokenState, usesLeft } from './token.ts';
import { purposeScopes, type Reach, ruleFaults, type TokenRules } from './token-rules.ts';
import { reserveUses } from './token-use-store.ts';

/** Delegations below a minted token: person, service, workflow, step. */
export const MOST_DEPTH = 4;

export interface DelegateInput extends TokenWishes {
  /** Default: the parent's. */
  readonly environments?: readonly string[] | undefined;
  readonly scopes: readonly string[];
  readonly lifetimeSeconds: number;
}

/** A child as it would be, what was left out filled in from its parent. */
interface Child extends Reach {
  readonly notBeforeMs: number;
}

function childOf(parent: Token, input: DelegateInput, nowMs: number): Child {
  const notBeforeMs =
    input.notBefore === undefined ? Math.max(nowMs, parent.notBefore.getTime()) : Date.parse(input.notBefore);
  return {
    scopes: input.scopes,
    environments: input.environments ?? parent.environments,
    enclave: parent.enclave,
    lifetimeSeconds: input.lifetimeSeconds,
    purpose: input.purpose ?? parent.purpose,
    classification: input.classification ?? parent.classification,
    sources: input.sources ?? parent.sources,
    maxUses: input.maxUses ?? null,
    renewableSeconds: (input.renewableDays ?? 0) * 86_400,
    startsInSeconds: (notBeforeMs - nowMs) / 1000,
    notBeforeMs,
  };
}

/** Everything in which the child would be wider than its parent. Pure. `nowMs` in milliseconds since the Unix epoch. */
export function delegationFaults(
  parent: Token,
  input: DelegateInput,
  at: { readonly nowMs: number; readonly rules: TokenRules },
): readonly FieldError[] {
  const child = childOf(parent, input, at.nowMs);
  const errors: FieldError[] = [];
  const wrong = (pointer: string, detail: string): void => void errors.push({ pointer, detail });
  if (parent.depth >= MOST_DEPTH) wrong('#/', `at most ${MOST_DEPTH} delegations below a minted token`);
  if (child.scopes.length === 0) wrong('#/scopes', 'at least one scope');
  for (const [i, scope] of child.scopes.entries()) {
    if (!isScope(scope)) wrong(`#/scopes/${i}`, `no scope ${scope}`);
    else if (!parent.scopes.includes(scope)) wrong(`#/scopes/${i}`, `the parent does not hold ${scope}`);
  }
  if (child.environments.length === 0) wrong('#/environments', 'at least one environment');
  for (const [i, name] of child.environments.entries()) {
    if (!parent.environments.includes(name)) wrong(`#/environments/${i}`, `the parent is not for ${name}`);
  }
  errors.push(...lifeFaults(parent, child), ...purposeFaults(parent, child, at.rules));
  if (CLASSIFICATIONS.indexOf(child.classification) > CLASSIFICATIONS.indexOf(parent.classification))
    wrong('#/classification', `at most ${parent.classification}, the parent's`);
  errors.push(...sourceFaults(parent.sources, child.sources));
  const left = usesLeft(parent);
  if (left !== null && (child.maxUses === null || child.maxUses > left))
    wrong('#/maxUses', `from 1 to ${left}, what the parent has left`);
  return errors;
}

function lifeFaults(parent: Token, child: Child): readonly FieldError[] {
  const { notBeforeMs } = child;
  if (Number.isNaN(notBeforeMs)) return [{ pointer: '#/notBefore', detail: 'an ISO 8601 time' }];
  const errors: FieldError[] = [];
  if (notBeforeMs < parent.notBefore.getTime())
    errors.push({ pointer: '#/notBefore', detail: `from ${parent.notBefore.toISOString()}, the parent's` });
  const left = Math.floor((parent.expiresAt.getTime() - notBeforeMs) / 1000);
  if (child.lifetimeSeconds > left)
    errors.push({ pointer: '#/lifetimeSeconds', detail: `at most ${Math.max(0, left)}, the parent's own rest` });
  const renewableToMs = renewableTo(parent).getTime();
  if (child.renewableSeconds > 0 && notBeforeMs + child.renewableSeconds * 1000 > renewableToMs) {
    const days = Math.max(0, Math.floor((renewableToMs - notBeforeMs) / 86_400_000));
    errors.push({ pointer: '#/renewableDays', detail: `at most ${days}, up to the parent's own end` });
  }
  return errors;
}

/** A child of a token that nobody renews may renew itself within its parent's life. */
function renewableTo(parent: Token): Date {
  const { renewableUntil, expiresAt } = parent;
  return renewableUntil !== null && renewableUntil > expiresAt ? renewableUntil : expiresAt;
}

/** The parent's own purpose, or one whose scopes all belong to it. */
function purposeFaults(parent: Token, child: Child, rules: TokenRules): readonly FieldError[] {
  if (parent.purpose === '' || child.purpose === parent.purpose) return [];
  const wider = purposeScopes(rules, parent.purpose) ?? [];
  const own = purposeScopes(rules, child.purpose);
  if (own?.every((scope) => wider.includes(scope)) === true) return [];
  const names = Object.keys(rules.purposes).filter((name) =>
    (purposeScopes(rules, name) ?? []).every((scope) => wider.includes(scope)),
  );
  const allowed = [...new Set([parent.purpose, ...names])].join(', ');
  return [{ pointer: '#/purpose', detail: `${allowed}: the parent's, or one within it` }];
}

function sourceFaults(parents: readonly string[], children: readonly string[]): readonly FieldError[] {
  if (parents.length === 0) return [];
  const allowed = `within ${parents.join(', ')}, the parent's`;
  if (children.length === 0) return [{ pointer: '#/sources', detail: `at least one range ${allowed}` }];
  const outer = parents.map(parseRange).filter((range) => range !== undefined);
  return children.flatMap((text, i) => {
    const range = parseRange(text);
    const within = range !== undefined && outer.some((o) => isWithin(range, o));
    return within ? [] : [{ pointer: `#/sources/${i}`, detail: allowed }];
  });
}

/** Throws `invalid-request` with every field in which the child would be wider; `token-revoked` where the parent was revoked meanwhile. */
export async function delegateToken(deps: IssueDeps, caller: Caller, input: DelegateInput): Promise<IssuedToken> {
  return transaction(deps.db, async (trx) => {
    // Held to the end: a revocation of the parent comes before or after, and after means the child is revoked with it.
    // Of a bounded parent its uses are taken, so nobody else may hold it.
    const bounded = caller.kind === 'token' && caller.bounded === true;
    const parent = await (bounded ? lockToken : holdToken)(trx, caller.id);
    if (parent === undefined || parent.kind !== 'token') {
      throw new Problem('refused', 'Only a project access token delegates.', {
        rules: [{ rule: 'only-tokens-delegate', detail: 'use token mint with a session' }],
      });
    }
    const now = deps.clock.now();
    const state = tokenState(parent, now, START_LEEWAY_MS);
    if (state !== 'active') throw new Problem('token-revoked', `Token ${parent.id} is ${state}.`);
    await refuseInLockdown(trx);
    const child = childOf(parent, input, now);
    const wider = delegationFaults(parent, input, { nowMs: now, rules: deps.rules });
    // The facility's rules may be stricter today than when the parent was minted; of one field the parent's bound is told.
    const told = new Set(wider.map((e) => e.pointer));
    const errors = [
      ...wider,
      ...ruleFaults(deps.rules, deps.facility, { ...child, scopes: child.scopes.filter(isScope) }).filter(
        (e) => !told.has(e.pointer),
      ),
    ];
    if (errors.length > 0)
      throw new Problem('invalid-request', 'The child would be wider than its parent or the rules.', { errors });
    if (usesLeft(parent) !== null && child.maxUses !== null) await reserveUses(trx, parent.id, child.maxUses);
    return issue({ db: trx, clock: deps.clock }, 'token', {
      ...PLAIN_TOKEN,
      subject: parent.subject,
      description: input.description ?? '',
      parent: parent.id,
      depth: parent.depth + 1,
      project: parent.project,
      enclave: parent.enclave,
      environments: [...new Set(child.environments)],
      scopes: [...new Set(child.scopes)] as readonly Scope[],
      roles: [],
      purpose: child.purpose,
      classification: child.classification,
      sources: plainSources(child.sources),
      maxUses: child.maxUses,
      renewableUntil: child.renewableSeconds === 0 ? null : new Date(child.notBeforeMs + child.renewableSeconds * 1000),
      createdBy: caller.id,
      notBefore: new Date(child.notBeforeMs),
      expiresAt: new Date(child.notBeforeMs + child.lifetimeSeconds * 1000),
    });
  });
}
