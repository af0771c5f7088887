/** Ten new recovery codes in place of those before, shown once. They are for the day the phone is at the bottom of the lake. */
import { transaction } from '../../database/index.ts';
import { newId } from '../../id.ts';
import { Problem } from '../../problems.ts';
import type { FactorCall, FactorDeps } from './factor.ts';
import { deleteFactors, holdPerson, insertFactor, insertRecoveryCodes } from './factor-store.ts';
import { permitChange } from './permit-change.ts';
import { recordFactor } from './record-factor.ts';
import { newRecoveryCode, newSalt, parseCode, RECOVERY_CODES, recoveryDigest } from './recovery-code.ts';

/** Throws `refused` where factors may not be changed now, `conflict` where there is no other factor yet. */
export async function issueRecoveryCodes(deps: FactorDeps, call: FactorCall): Promise<readonly string[]> {
  const rows = await permitChange(deps, call, deps.db);
  if (rows.every((row) => row.method === 'recovery-code'))
    throw new Problem('conflict', 'Recovery codes stand in for a factor: set up a passkey or an app first.');
  const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode);
  const salt = newSalt();
  const digests: Buffer[] = [];
  // One after the other: ten derivations at once would take 320 MiB.
  for (const code of codes) digests.push(await recoveryDigest(parseCode(code)?.code ?? code, salt));
  const id = newId('fac');
  const { subject } = call.session;
  const created_at = new Date(deps.clock.now());
  await transaction(deps.db, async (trx) => {
    await holdPerson(trx, subject);
    await permitChange(deps, call, trx);
    await deleteFactors(trx, { subject, method: 'recovery-code' });
    await insertFactor(trx, { id, subject, method: 'recovery-code', name: 'Recovery codes', created_at, salt });
    await insertRecoveryCodes(trx, id, digests);
  });
  await recordFactor(deps, call, { event: 'factor.enrolled', method: 'recovery-code', factor: id });
  return codes;
}
