/** A person removes a factor of their own, having just shown one. With the last passkey or app the recovery codes go too. */
import { transaction } from '../../database/index.ts';
import { Problem } from '../../problems.ts';
import type { FactorCall, FactorDeps, FactorMethod } from './factor.ts';
import { deleteFactors, factorRows, holdPerson } from './factor-store.ts';
import { permitChange } from './permit-change.ts';
import { recordFactor } from './record-factor.ts';

export interface RemovedFactor {
  readonly id: string;
  readonly method: FactorMethod;
  readonly name: string;
}

/** Throws `not-found`, and `refused` where factors may not be changed now. Gives all that went. */
export async function removeFactor(deps: FactorDeps, call: FactorCall, id: string): Promise<readonly RemovedFactor[]> {
  const { subject } = call.session;
  const removed = await transaction(deps.db, async (trx) => {
    await holdPerson(trx, subject);
    await permitChange(deps, call, trx);
    const gone = await deleteFactors(trx, { subject, id });
    if (gone.length === 0) throw new Problem('not-found', `You have no factor ${id}.`);
    const left = await factorRows(trx, subject);
    if (left.some((row) => row.method !== 'recovery-code')) return gone;
    return [...gone, ...(await deleteFactors(trx, { subject, method: 'recovery-code' }))];
  });
  for (const { id: factor, method } of removed)
    await recordFactor(deps, call, { event: 'factor.removed', method, factor });
  return removed;
}
