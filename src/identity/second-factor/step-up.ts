/** A factor was shown: the session says so from here on, on every replica. The page's or operation's own intent is in the audit log before. */
import { type TransactionQueries, transaction } from '../../database/index.ts';
import { Problem } from '../../problems.ts';
import { clearTries } from './ceremony-store.ts';
import type { FactorCall, FactorDeps, FactorMethod } from './factor.ts';
import { recordFactor } from './record-factor.ts';
import { markStepUp } from './step-up-store.ts';

export interface Shown {
  readonly method: FactorMethod;
  readonly factor: string;
}

/** In the transaction that accepts or enrols the factor. Throws `token-revoked` where the session has ended meanwhile. */
export async function markShown(
  trx: TransactionQueries,
  call: FactorCall,
  shown: { readonly method: FactorMethod; readonly at: Date },
): Promise<void> {
  if (!(await markStepUp(trx, { session: call.session.id, ...shown })))
    throw new Problem('token-revoked', 'This session has ended. Sign in again.');
  // A passkey cannot be guessed, so it says nothing about who typed wrong codes.
  if (shown.method !== 'webauthn') await clearTries(trx, call.session.subject);
}

/** Steps the session up and records it. The factor was consumed before: what it proved holds once. */
export async function stepUp(deps: FactorDeps, call: FactorCall, shown: Shown): Promise<Shown> {
  const at = new Date(deps.clock.now());
  await transaction(deps.db, (trx) => markShown(trx, call, { method: shown.method, at }));
  await recordFactor(deps, call, { event: 'factor.used', ...shown });
  await deps.verifier.refresh();
  return shown;
}
