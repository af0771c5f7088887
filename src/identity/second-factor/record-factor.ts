/** What happened with a second factor, in the audit log: the method and the factor's id, a reason in one word, never a code, a secret or a challenge. */
import { Problem } from '../../problems.ts';
import type { FactorCall, FactorDeps, FactorMethod } from './factor.ts';

export type FactorEvent = 'factor.used' | 'factor.failed' | 'factor.enrolled' | 'factor.removed' | 'factor.reset';

export type FailedBecause =
  | 'wrong-code'
  | 'replayed'
  | 'locked-out'
  | 'no-such-code'
  | 'challenge'
  | 'wrong-origin'
  | 'unknown-passkey'
  | 'not-verified'
  /** Two authenticators hold one key: a passkey was copied. */
  | 'counter-went-back'
  | 'not-allowed';

export interface FactorHappening {
  readonly event: FactorEvent;
  readonly method: FactorMethod | 'code';
  readonly factor?: string | undefined;
  readonly reason?: FailedBecause;
}

/** Throws `unavailable` where it cannot be written. */
export async function recordFactor(
  deps: Pick<FactorDeps, 'audit' | 'clock'>,
  call: FactorCall,
  { event, method, factor, reason }: FactorHappening,
): Promise<void> {
  const { session } = call;
  const suspicion = reason === 'counter-went-back' ? { suspicion: 'a passkey may have been copied' } : {};
  try {
    await deps.audit.append({
      at: new Date(deps.clock.now()),
      requestId: call.requestId,
      phase: 'event',
      callerKind: session.kind,
      callerId: session.id,
      subject: session.subject,
      project: null,
      action: event,
      resource: factor === undefined ? '' : `factor/${factor}`,
      status: null,
      detail: { method, ...(reason === undefined ? {} : { reason }), ...suspicion, from: call.remoteAddress },
    });
  } catch (cause) {
    throw new Problem('unavailable', 'The audit log cannot be written.', { cause, retryAfterSeconds: 1 });
  }
}

/** Records it, then throws `factor-wrong` with a detail that tells an honest person what to do and a guesser nothing. */
export async function refuseFactor(
  deps: Pick<FactorDeps, 'audit' | 'clock'>,
  call: FactorCall,
  failed: Omit<FactorHappening, 'event'> & { readonly detail: string },
): Promise<never> {
  const { detail, ...happening } = failed;
  await recordFactor(deps, call, { event: 'factor.failed', ...happening });
  throw new Problem('factor-wrong', detail);
}
