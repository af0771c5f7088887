/** An authenticator app is enrolled in two steps: its secret is shown, then a code of it confirms that it arrived. Until then it is no factor. */
import { transaction } from '../../database/index.ts';
import { newId } from '../../id.ts';
import { Problem } from '../../problems.ts';
import { type CeremonyKey, findCeremony, insertCeremony, takeCeremony } from './ceremony-store.ts';
import { type FactorCall, type FactorDeps, factorName } from './factor.ts';
import { holdPerson, insertFactor } from './factor-store.ts';
import { checkRoom } from './limit-factors.ts';
import { permitChange } from './permit-change.ts';
import { recordFactor, refuseFactor } from './record-factor.ts';
import { seal, unseal } from './seal-secret.ts';
import { markShown } from './step-up.ts';
import { newTotpSecret, totpStep } from './totp.ts';
import { afterwards, countedTry, secretOf } from './use-code.ts';

/** Long enough to find the phone. */
const CONFIRM_WITHIN_MS = 10 * 60_000;

/** To be shown to its person and nobody else. */
export interface TotpOffer {
  readonly id: string;
  readonly secret: string;
}

/** Throws `refused` where factors may not be changed now, `conflict` where there are enough. */
export async function offerTotp(deps: FactorDeps, call: FactorCall): Promise<TotpOffer> {
  checkRoom(await permitChange(deps, call, deps.db));
  const id = newId('fac');
  const secret = newTotpSecret();
  const now = deps.clock.now();
  const sealed = seal(deps.keys, secret, secretOf(call.session.subject, id));
  await insertCeremony(
    deps.db,
    {
      id,
      session: call.session.id,
      purpose: 'totp',
      sealed: sealed.bytes,
      key_id: sealed.keyId,
      expires_at: new Date(now + CONFIRM_WITHIN_MS),
    },
    new Date(now),
  );
  return { id, secret };
}

/** The offer again, for a page that is shown a second time. Throws `conflict` where it is over. */
export async function totpOffer(deps: FactorDeps, call: FactorCall, id: string): Promise<TotpOffer> {
  const row = await findCeremony(deps.db, keyOf(call, id), new Date(deps.clock.now()));
  if (row === undefined || row.sealed === null || row.key_id === null) throw over();
  const secret = unseal(deps.keys, { keyId: row.key_id, bytes: row.sealed }, secretOf(call.session.subject, id));
  return { id, secret };
}

/** Throws what offerTotp does, `conflict` too where the offer is over, `factor-wrong`, `factor-locked`. Gives the factor's id. */
export async function confirmTotp(
  deps: FactorDeps,
  call: FactorCall,
  given: { readonly id: string; readonly code: string; readonly name?: string | undefined },
): Promise<string> {
  await permitChange(deps, call, deps.db);
  const { id, secret } = await totpOffer(deps, call, given.id);
  const counted = await countedTry(deps, call);
  const now = deps.clock.now();
  const step = await totpStep(secret, given.code.replaceAll(/[\s-]/g, ''), now);
  if (step === undefined)
    return refuseFactor(deps, call, {
      method: 'totp',
      factor: id,
      reason: 'wrong-code',
      detail: `That code is not of this secret. Is the clock of your device right?${afterwards(deps, counted)}`,
    });
  const { subject } = call.session;
  const sealed = seal(deps.keys, secret, secretOf(subject, id));
  const at = new Date(now);
  await transaction(deps.db, async (trx) => {
    await holdPerson(trx, subject);
    checkRoom(await permitChange(deps, call, trx));
    if (!(await takeCeremony(trx, keyOf(call, id), at))) throw over();
    await insertFactor(trx, {
      id,
      subject,
      method: 'totp',
      name: factorName(given.name, 'Authenticator app'),
      created_at: at,
      last_used_at: at,
      sealed: sealed.bytes,
      key_id: sealed.keyId,
      last_step: step,
    });
    await markShown(trx, call, { method: 'totp', at });
  });
  await recordFactor(deps, call, { event: 'factor.enrolled', method: 'totp', factor: id });
  await deps.verifier.refresh();
  return id;
}

const keyOf = (call: FactorCall, id: string): CeremonyKey => ({ id, session: call.session.id, purpose: 'totp' });
const over = (): Problem => new Problem('conflict', 'This set-up is over or was never begun. Begin it again.');
