/**
 * Staff takes all factors of a person who has lost them. Whoever they are, they then sign in and enrol anew; their sessions lose what they had
 * shown, so that a stolen one gains nothing. Policy says who may (`person:reset-factor`); one's own are never reset but removed.
 */
import { transaction } from '../../database/index.ts';
import { Problem } from '../../problems.ts';
import { clearTries } from './ceremony-store.ts';
import type { FactorCall, FactorDeps } from './factor.ts';
import { deleteFactors, holdPerson } from './factor-store.ts';
import { recordFactor } from './record-factor.ts';
import type { RemovedFactor } from './remove-factor.ts';
import { forgetStepUps } from './step-up-store.ts';

/** Throws `refused` for one's own. Nothing there is no error: the person has none, which is what was asked for. */
export async function resetFactors(
  deps: FactorDeps,
  call: FactorCall,
  subject: string,
): Promise<readonly RemovedFactor[]> {
  if (subject === call.session.subject)
    throw new Problem('refused', 'Nobody resets their own factors.', {
      rules: [
        { rule: 'reset-is-for-others', detail: 'remove a factor of yours instead, or ask another administrator' },
      ],
    });
  const removed = await transaction(deps.db, async (trx) => {
    await holdPerson(trx, subject);
    const gone = await deleteFactors(trx, { subject });
    await clearTries(trx, subject);
    await forgetStepUps(trx, subject);
    return gone;
  });
  for (const { id: factor, method } of removed)
    await recordFactor(deps, call, { event: 'factor.reset', method, factor });
  await deps.verifier.refresh();
  return removed;
}
