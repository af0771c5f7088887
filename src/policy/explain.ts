/**
 * Would this bearer be allowed to do this, at that time, and what would change it? The bearer's own state at that time and the policies of now, put into
 * words. Pure: whoever asks brings the row, the caller it stands for and what was so then.
 */
import { type Caller, type Token, type TokenState, tokenState } from '../identity/index.ts';
import type { RuleFinding } from '../problems.ts';
import type { Action } from './action.ts';
import type { Policy } from './policy.ts';
import { type Circumstances, factorAgeMinutes, type PolicyResource } from './question.ts';

export interface ExplainInput {
  readonly token: Token;
  readonly caller: Caller;
  readonly action: Action;
  readonly resource: PolicyResource;
  /** `now` is the time that is asked about, milliseconds since the Unix epoch. */
  readonly circumstances: Circumstances;
}

export interface Explanation {
  /** Both the bearer's state and the policies. */
  readonly allowed: boolean;
  readonly tokenState: TokenState;
  /** Of a session: whole minutes since a second factor was shown in it; null: none was by then. */
  readonly factorAgeMinutes: number | null;
  /** What decides: everything that stands against it with its remedy, or what permits it. */
  readonly rules: readonly RuleFinding[];
  /** What the answer does not look at. */
  readonly notes: readonly string[];
}

export function explainAt(policy: Policy, input: ExplainInput): Explanation {
  const { token, action, resource, circumstances } = input;
  const { now } = circumstances;
  const caller = asOf(input.caller, now);
  const state = stateAt(token, now);
  const decision = policy.decide({ caller, action, resource, circumstances });
  const allowed = decision.allowed && state === 'active';
  const rules: RuleFinding[] = state === 'active' ? [] : [{ rule: 'bearer-is-active', detail: inWords(token, state) }];
  if (!decision.allowed) rules.push(...decision.rules);
  else if (allowed)
    rules.push(...decision.rules.map((rule) => ({ rule, detail: `permits ${action}, and no rule forbids it` })));
  const factorAt = caller.kind === 'session' ? caller.assurance.factorAt : null;
  return {
    allowed,
    tokenState: state,
    factorAgeMinutes: factorAgeMinutes(factorAt, now) ?? null,
    rules,
    notes: notesOn(token),
  };
}

/** Only the last factor is kept: one that was shown after the time asked about is none then. */
function asOf(caller: Caller, now: number): Caller {
  if (caller.kind !== 'session') return caller;
  const { methods, factorAt } = caller.assurance;
  return { ...caller, assurance: { methods, factorAt: factorAt === null || factorAt > now ? null : factorAt } };
}

/** Of a bearer at any time, revoked later or not. */
export function stateAt(token: Token, atMs: number): TokenState {
  if (token.revokedAt !== null && atMs < token.revokedAt.getTime())
    return tokenState({ ...token, revokedAt: null }, atMs);
  return tokenState(token, atMs);
}

function inWords(token: Token, state: Exclude<TokenState, 'active'>): string {
  const { id, kind } = token;
  const another = kind === 'token' ? 'mint another one' : 'sign in again';
  switch (state) {
    case 'revoked':
      return `${id} was revoked at ${token.revokedAt?.toISOString() ?? '?'}, for good: ${another}`;
    case 'expired':
      return `${id} expired at ${token.expiresAt.toISOString()}: ${another}`;
    case 'not-yet-valid':
      return `${id} is valid from ${token.notBefore.toISOString()}: wait`;
  }
}

function notesOn({ sources, maxUses, uses, reservedUses }: Token): readonly string[] {
  const notes: string[] = [];
  if (sources.length > 0) notes.push(`it is believed only from ${sources.join(', ')}`);
  if (maxUses !== null) notes.push(`${Math.max(0, maxUses - uses - reservedUses)} of its ${maxUses} uses are left now`);
  return notes;
}
