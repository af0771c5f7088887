/**
 * A token gives itself a later end, without a person: a beamline's service renews before expiry. Same value, same rights. Bounded by `renewableUntil`, by the
 * rules as they are today, and by the end of the token it was delegated from. Never shortens.
 */
import { type TransactionQueries, transaction } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { Caller } from './caller.ts';
import { refuseInLockdown } from './hold-minter.ts';
import type { IssueDeps } from './issue-token.ts';
import { standingOf } from './people/membership.ts';
import { rowsOfPerson } from './people/people-store.ts';
import { holdToken, lockToken, replacementOf, setTokenEnd, tokenById } from './store.ts';
import { START_LEEWAY_MS, type Token, tokenState } from './token.ts';
import { longestLife } from './token-rules.ts';

const refused = (detail: string, rule: string, remedy: string): Problem =>
  new Problem('refused', detail, { rules: [{ rule, detail: remedy }] });

/** Throws `refused` with the rule that stands against it, `invalid-request` where more is asked for than may be given. */
export async function renewToken(
  deps: IssueDeps,
  caller: Caller,
  input: { readonly lifetimeSeconds?: number | undefined },
): Promise<Token> {
  return transaction(deps.db, async (trx): Promise<Token> => {
    const before = await tokenById(trx, caller.id);
    if (before === undefined || before.kind !== 'token')
      throw refused('Only a project access token renews itself.', 'only-tokens-renew', 'sign in anew');
    const parent = before.parent === null ? undefined : await holdToken(trx, before.parent);
    const token = await lockToken(trx, before.id);
    if (token === undefined) throw new Error(`token ${before.id} is gone`);
    if (token.parent !== before.parent)
      throw new Problem('conflict', `The token that ${token.id} comes from is being rotated; ask again.`, {
        retryAfterSeconds: 1,
      });
    const now = deps.clock.now();
    const state = tokenState(token, now, START_LEEWAY_MS);
    if (state !== 'active') throw new Problem('token-revoked', `Token ${token.id} is ${state}.`);
    if ((await replacementOf(trx, token.id)) !== undefined)
      throw refused(`Token ${token.id} was rotated.`, 'replaced-token-ends', 'use the value that replaced it');
    if (token.renewableUntil === null)
      throw refused(
        `Token ${token.id} is not renewable.`,
        'token-is-renewable',
        'mint one with renewableDays, or have a person mint a new one',
      );
    await refuseInLockdown(trx);
    await refuseForFormerMember(trx, token, now);
    const most = endOfRenewal(deps, token, { parent, nowMs: now });
    const asked = input.lifetimeSeconds;
    if (asked !== undefined && now + asked * 1000 > most.atMs) {
      const detail = `at most ${Math.max(0, Math.floor((most.atMs - now) / 1000))}: ${most.because}`;
      throw new Problem('invalid-request', 'The token cannot be renewed for so long.', {
        errors: [{ pointer: '#/lifetimeSeconds', detail }],
      });
    }
    const endMs = Math.min(now + (asked ?? token.lifetimeSeconds) * 1000, most.atMs);
    const end = { expiresAt: new Date(Math.max(endMs, token.expiresAt.getTime())) };
    await setTokenEnd(trx, token, asked === undefined ? end : { ...end, lifetimeSeconds: asked });
    return { ...token, ...end, lifetimeSeconds: asked ?? token.lifetimeSeconds };
  });
}

/** Whoever answers for it has left the project: by a date that nobody has imported yet, or at this very moment. */
async function refuseForFormerMember(trx: TransactionQueries, token: Token, nowMs: number): Promise<void> {
  const { persons, memberships } = await rowsOfPerson(trx, token.subject);
  const { state, projects } = standingOf(persons, memberships, nowMs);
  const was = memberships.some((m) => m.project === token.project);
  if (state !== 'disabled' && (!was || projects.includes(token.project ?? ''))) return;
  throw refused(
    `${token.subject}, who answers for token ${token.id}, is no longer of project ${token.project}.`,
    'answering-person-is-member',
    'have a member of the project mint a token',
  );
}

/** The latest end that it may have now, with what decides it. */
function endOfRenewal(
  deps: IssueDeps,
  token: Token,
  at: { readonly parent: Token | undefined; readonly nowMs: number },
): { readonly atMs: number; readonly because: string } {
  const project = deps.facility.projects.get(token.project ?? '');
  const gone = token.environments.find((name) => project?.environments.includes(name) !== true);
  if (gone !== undefined)
    throw refused(
      `Project ${token.project} is no longer in ${gone}.`,
      'project-is-in-environment',
      'have a person mint a token for the environments that are left',
    );
  const life = longestLife(deps.rules, deps.facility, token);
  const bounds = [
    { atMs: at.nowMs + life.seconds * 1000, because: `at most ${life.because}` },
    { atMs: token.renewableUntil?.getTime() ?? 0, because: 'the end of its renewal' },
    ...(at.parent === undefined
      ? []
      : [{ atMs: at.parent.expiresAt.getTime(), because: 'the end of the token it was delegated from' }]),
  ];
  return bounds.reduce((a, b) => (b.atMs < a.atMs ? b : a));
}
