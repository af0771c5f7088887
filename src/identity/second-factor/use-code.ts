/**
 * Step-up by a code: of an authenticator app, or a recovery code. The try is counted first; a code is accepted once, whichever replica sees it
 * first. RFC 6238 section 5.2 (a second use of a code is refused).
 */
import { transaction } from '../../database/index.ts';
import { Problem } from '../../problems.ts';
import { countTry, FREE_TRIES } from './ceremony-store.ts';
import type { FactorCall, FactorDeps } from './factor.ts';
import { acceptRecoveryCode, acceptStep, factorRows } from './factor-store.ts';
import type { FactorRow } from './factor-tables-store.ts';
import { recordFactor, refuseFactor } from './record-factor.ts';
import { parseCode, recoveryDigest } from './recovery-code.ts';
import { seal, unseal } from './seal-secret.ts';
import { type Shown, stepUp } from './step-up.ts';
import { totpStep } from './totp.ts';

/** What a TOTP secret is bound to when it is sealed. */
export const secretOf = (subject: string, factor: string): string => `totp/${subject}/${factor}`;

type Found = { readonly shown: Shown } | { readonly reason: 'wrong-code' | 'replayed' };

/** Throws `factor-wrong`, and `factor-locked` after too many of these. */
export async function useCode(deps: FactorDeps, call: FactorCall, text: string): Promise<Shown> {
  const typed = parseCode(text);
  if (typed === undefined)
    return refuseFactor(deps, call, {
      method: 'code',
      reason: 'no-such-code',
      detail: 'That is neither a code of six digits nor a recovery code of 16 letters and digits.',
    });
  const counted = await countedTry(deps, call);
  const rows = await factorRows(deps.db, call.session.subject);
  const found =
    typed.method === 'totp' ? await matchTotp(deps, rows, typed.code) : await matchRecovery(deps, rows, typed.code);
  if ('shown' in found) return stepUp(deps, call, found.shown);
  const detail =
    found.reason === 'replayed'
      ? 'That code was used already. Wait for the next one.'
      : `That code is not right.${afterwards(deps, counted)}`;
  return refuseFactor(deps, call, { method: typed.method, reason: found.reason, detail });
}

export interface CountedTry {
  readonly tries: number;
  readonly blockedUntil: Date | null;
}

/** Throws `factor-locked`. */
export async function countedTry(deps: FactorDeps, call: FactorCall): Promise<CountedTry> {
  const now = deps.clock.now();
  const counted = await countTry(deps.db, call.session.subject, new Date(now));
  if (counted.allowed) return counted;
  await recordFactor(deps, call, { event: 'factor.failed', method: 'code', reason: 'locked-out' });
  const seconds = Math.max(1, Math.ceil((counted.blockedUntil.getTime() - now) / 1000));
  throw new Problem('factor-locked', `Too many wrong codes: the next one is looked at in ${waitText(seconds)}.`, {
    retryAfterSeconds: seconds,
  });
}

export function afterwards(deps: Pick<FactorDeps, 'clock'>, counted: CountedTry): string {
  if (counted.blockedUntil !== null) {
    const seconds = Math.ceil((counted.blockedUntil.getTime() - deps.clock.now()) / 1000);
    return ` The next try is possible in ${waitText(Math.max(1, seconds))}.`;
  }
  const left = FREE_TRIES - counted.tries;
  return ` ${left} more ${left === 1 ? 'try' : 'tries'} before you have to wait.`;
}

export function waitText(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  return `${Math.ceil(seconds / 60)} min`;
}

async function matchTotp(deps: FactorDeps, rows: readonly FactorRow[], code: string): Promise<Found> {
  const now = deps.clock.now();
  let replayed = false;
  for (const row of rows) {
    if (row.method !== 'totp' || row.sealed === null || row.key_id === null) continue;
    const boundTo = secretOf(row.subject, row.id);
    const secret = unseal(deps.keys, { keyId: row.key_id, bytes: row.sealed }, boundTo);
    const step = await totpStep(secret, code, now);
    if (step === undefined) continue;
    const resealed = row.key_id === deps.keys.current ? undefined : seal(deps.keys, secret, boundTo);
    if (await acceptStep(deps.db, { factor: row.id, step, at: new Date(now), resealed }))
      return { shown: { method: 'totp', factor: row.id } };
    replayed = true;
  }
  return { reason: replayed ? 'replayed' : 'wrong-code' };
}

async function matchRecovery(deps: FactorDeps, rows: readonly FactorRow[], code: string): Promise<Found> {
  const set = rows.find((row) => row.method === 'recovery-code');
  if (set === undefined || set.salt === null) return { reason: 'wrong-code' };
  const digest = await recoveryDigest(code, set.salt);
  const at = new Date(deps.clock.now());
  const accepted = await transaction(deps.db, (trx) => acceptRecoveryCode(trx, { factor: set.id, digest, at }));
  return accepted ? { shown: { method: 'recovery-code', factor: set.id } } : { reason: 'wrong-code' };
}
