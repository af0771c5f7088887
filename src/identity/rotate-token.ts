/**
 * A token gets a new value; the old one goes on for an overlap, so that what runs can change over. Rotation changes the secret and never the rights: the end, the
 * renewal and what is left of the uses are the old one's. The children become the new one's. Both values stay one token to a revocation (`tokenSubtree`).
 */
import { transaction } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { Caller } from './caller.ts';
import { refuseInLockdown } from './hold-minter.ts';
import { type IssueDeps, type IssuedToken, issue } from './issue-token.ts';
import { holdToken, lockToken, moveChildren, replacementOf, setTokenEnd, tokenById } from './store.ts';
import { START_LEEWAY_MS, type Token, tokenState, usesLeft } from './token.ts';
import { reserveUses } from './token-use-store.ts';
import type { TokenVerifier } from './verify-token.ts';

export const DEFAULT_OVERLAP_SECONDS = 300;
export const MOST_OVERLAP_SECONDS = 86_400;

export type RotateDeps = Pick<IssueDeps, 'db' | 'clock'> & { readonly verifier: Pick<TokenVerifier, 'refresh'> };

/** Throws `refused` for what is no project access token, and for a value that was replaced already; `token-used-up`. */
export async function rotateToken(
  deps: RotateDeps,
  caller: Caller,
  input: { readonly overlapSeconds?: number | undefined },
): Promise<IssuedToken> {
  const issued = await transaction(deps.db, async (trx) => {
    const before = await tokenById(trx, caller.id);
    // The parent is held as in a delegation: its revocation comes before, or takes the new value too.
    if (before?.parent !== null && before?.parent !== undefined) await holdToken(trx, before.parent);
    const old = before === undefined ? undefined : await lockToken(trx, before.id);
    if (old === undefined || old.kind !== 'token')
      throw new Problem('refused', 'Only a project access token is rotated.', {
        rules: [{ rule: 'only-tokens-rotate', detail: 'sign in anew' }],
      });
    if (old.parent !== before?.parent)
      throw new Problem('conflict', `Token ${old.id} got another parent meanwhile; ask again.`, {
        retryAfterSeconds: 1,
      });
    const now = deps.clock.now();
    const state = tokenState(old, now, START_LEEWAY_MS);
    if (state !== 'active') throw new Problem('token-revoked', `Token ${old.id} is ${state}.`);
    await refuseInLockdown(trx);
    // Whoever stole the old value must not outlive the overlap with it.
    if ((await replacementOf(trx, old.id)) !== undefined)
      throw new Problem('refused', `Token ${old.id} was rotated already.`, {
        rules: [{ rule: 'replaced-token-ends', detail: 'use the value that replaced it, or mint a new token' }],
      });
    const left = usesLeft(old);
    if (left === 0) throw new Problem('token-used-up', `Token ${old.id} has no use left.`);
    if (left !== null) await reserveUses(trx, old.id, left);
    const successor = await issue({ db: trx, clock: deps.clock }, 'token', successorOf(old, { left, by: caller.id }));
    await moveChildren(trx, old.id, successor.token.id);
    const endMs = now + (input.overlapSeconds ?? DEFAULT_OVERLAP_SECONDS) * 1000;
    await setTokenEnd(trx, old, {
      expiresAt: new Date(Math.min(endMs, old.expiresAt.getTime())),
      renewableUntil: null,
    });
    return successor;
  });
  await deps.verifier.refresh();
  return issued;
}

function successorOf(old: Token, facts: { readonly left: number | null; readonly by: string }) {
  const { id, kind: _kind, revokedAt: _at, revokedBy: _by, createdAt: _created, ...rights } = old;
  return { ...rights, replaces: id, maxUses: facts.left, uses: 0, reservedUses: 0, createdBy: facts.by };
}
