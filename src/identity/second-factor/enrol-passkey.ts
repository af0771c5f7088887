/** The second half of a passkey's registration: what came is checked against the challenge, the origin and the person's presence, then the key is kept. */
import { verifyRegistrationResponse } from '@simplewebauthn/server';
import { transaction } from '../../database/index.ts';
import { newId } from '../../id.ts';
import { ALGORITHMS } from './begin-passkey.ts';
import { takeCeremony } from './ceremony-store.ts';
import { type FactorCall, type FactorDeps, factorName } from './factor.ts';
import { credentialIsKnown, holdPerson, insertFactor } from './factor-store.ts';
import { checkRoom } from './limit-factors.ts';
import { parseClientData, parseRegistration } from './passkey-response.ts';
import { permitChange } from './permit-change.ts';
import { recordFactor, refuseFactor } from './record-factor.ts';
import type { RelyingParty } from './relying-party.ts';
import { markShown } from './step-up.ts';

export interface PasskeyGiven {
  readonly party: RelyingParty;
  /** What the browser gave, as JSON. */
  readonly response: unknown;
}

/** Throws `refused` where factors may not be changed now, `conflict`, `invalid-request`, `factor-wrong`. Gives the factor's id. */
export async function enrolPasskey(
  deps: FactorDeps,
  call: FactorCall,
  given: PasskeyGiven & { readonly name?: string | undefined },
): Promise<string> {
  await permitChange(deps, call, deps.db);
  const { party } = given;
  const response = parseRegistration(given.response);
  const client = parseClientData(response.response.clientDataJSON);
  const at = new Date(deps.clock.now());
  const key = { id: client.challenge, session: call.session.id, purpose: 'register' } as const;
  const refuse = (reason: 'challenge' | 'wrong-origin' | 'not-verified' | 'not-allowed', detail: string) =>
    refuseFactor(deps, call, { method: 'webauthn', reason, detail });
  if (!(await takeCeremony(deps.db, key, at)))
    return refuse('challenge', 'This passkey came too late or twice. Begin again.');
  if (client.origin !== party.origin)
    return refuse('wrong-origin', `This passkey was made for another site than ${party.origin}.`);
  const registered = await verifyRegistrationResponse({
    response: { ...response, clientExtensionResults: {} },
    expectedChallenge: client.challenge,
    expectedOrigin: party.origin,
    expectedRPID: party.id,
    requireUserVerification: true,
    supportedAlgorithmIDs: ALGORITHMS,
  }).catch(() => undefined);
  if (registered === undefined || !registered.verified)
    return refuse('not-verified', 'This passkey could not be verified. Try another one, or another browser.');
  const { credential, credentialBackedUp } = registered.registrationInfo;
  if (await credentialIsKnown(deps.db, credential.id))
    return refuse('not-allowed', 'This passkey is enrolled already.');
  const id = newId('fac');
  const { subject } = call.session;
  await transaction(deps.db, async (trx) => {
    await holdPerson(trx, subject);
    checkRoom(await permitChange(deps, call, trx));
    await insertFactor(trx, {
      id,
      subject,
      method: 'webauthn',
      name: factorName(given.name, 'Passkey'),
      created_at: at,
      last_used_at: at,
      credential: credential.id,
      public_key: Buffer.from(credential.publicKey),
      counter: credential.counter,
      transports: response.response.transports,
      backed_up: credentialBackedUp,
      rp_id: party.id,
    });
    await markShown(trx, call, { method: 'webauthn', at });
  });
  await recordFactor(deps, call, { event: 'factor.enrolled', method: 'webauthn', factor: id });
  await deps.verifier.refresh();
  return id;
}
