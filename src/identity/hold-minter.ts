/**
 * What a mint rests on, held to the end of its transaction: the bearer that asks is alive, and the facility is not locked down. Without it a replica that has
 * not yet read the last epoch would make a token that outlives its maker's revocation, or appears in a lockdown.
 */
import type { TransactionQueries } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { Caller } from './caller.ts';
import { lockdownHeldOff } from './lockdown/lockdown-store.ts';
import { holdToken } from './store.ts';
import { START_LEEWAY_MS, tokenState } from './token.ts';

/** Throws `token-revoked` where the bearer has ended. Parts of Beamway hold no bearer. Bearers are locked before the epoch, as a revocation does. */
export async function holdMinter(trx: TransactionQueries, caller: Caller, nowMs: number): Promise<void> {
  if (caller.kind !== 'system') {
    const bearer = await holdToken(trx, caller.id);
    const state = bearer === undefined ? 'revoked' : tokenState(bearer, nowMs, START_LEEWAY_MS);
    if (state !== 'active') throw new Problem('token-revoked', `Bearer ${caller.id} is ${state}.`);
  }
  await refuseInLockdown(trx);
}

/** Throws `refused`. A lockdown set later waits for this transaction, and so for what it makes. */
export async function refuseInLockdown(trx: TransactionQueries): Promise<void> {
  if (await lockdownHeldOff(trx)) return;
  throw new Problem('refused', 'The facility is locked down: nothing is minted or renewed.', {
    rules: [{ rule: 'lockdown-stops-minting', detail: 'wait until it is lifted: beamway lockdown show' }],
  });
}
