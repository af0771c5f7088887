/**
 * Sets or lifts the facility's lockdown. The row, the epoch that every replica reads, and the outbox row that makes streaming shut or open the external paths
 * are one transaction. Setting what is set, or lifting what is not, changes nothing.
 */
import type { Clock } from '../../clock.ts';
import { emit, type Queries, transaction } from '../../database/index.ts';
import { newId } from '../../id.ts';
import type { Caller } from '../caller.ts';
import { moveEpoch } from '../epoch-store.ts';
import type { TokenVerifier } from '../verify-token.ts';
import type { Lockdown } from './lockdown.ts';
import { heldLockdown, insertLockdown, markLifted } from './lockdown-store.ts';

export const LOCKDOWN_CHANGED = 'identity.lockdown-changed';

export interface LockdownDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly verifier: Pick<TokenVerifier, 'refresh'>;
}

/** Resolves to the lockdown in force, which may be an earlier one with its own reason. */
export async function setLockdown(deps: LockdownDeps, caller: Caller, reason: string): Promise<Lockdown> {
  const lockdown = await transaction(deps.db, async (trx) => {
    const present = await heldLockdown(trx);
    if (present !== undefined) return present;
    const at = new Date(deps.clock.now());
    const next: Lockdown = {
      id: newId('lck'),
      at,
      by: caller.id,
      reason,
      liftedAt: null,
      liftedBy: null,
      liftReason: null,
    };
    await insertLockdown(trx, next);
    await moveEpoch(trx);
    await emit(trx, { topic: LOCKDOWN_CHANGED, key: next.id, payload: { inForce: true } });
    return next;
  });
  await deps.verifier.refresh();
  return lockdown;
}

/** Resolves to what was lifted, or undefined where no lockdown was in force. */
export async function liftLockdown(deps: LockdownDeps, caller: Caller, reason: string): Promise<Lockdown | undefined> {
  const lifted = await transaction(deps.db, async (trx) => {
    const present = await heldLockdown(trx);
    if (present === undefined) return undefined;
    const at = new Date(deps.clock.now());
    await markLifted(trx, { id: present.id, at, by: caller.id, reason });
    await moveEpoch(trx);
    await emit(trx, { topic: LOCKDOWN_CHANGED, key: present.id, payload: { inForce: false } });
    return { ...present, liftedAt: at, liftedBy: caller.id, liftReason: reason };
  });
  await deps.verifier.refresh();
  return lifted;
}
