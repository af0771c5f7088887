/** The second half of step-up by a passkey. A counter that does not go forward is refused and recorded as a suspicion: the key was copied (WebAuthn 6.1.1). */
import { verifyAuthenticationResponse } from '@simplewebauthn/server';
import { takeCeremony } from './ceremony-store.ts';
import type { PasskeyGiven } from './enrol-passkey.ts';
import type { FactorCall, FactorDeps } from './factor.ts';
import { acceptCounter, factorRows } from './factor-store.ts';
import { parseAssertion, parseClientData } from './passkey-response.ts';
import { type FailedBecause, refuseFactor } from './record-factor.ts';
import { type Shown, stepUp } from './step-up.ts';

/** Throws `invalid-request` and `factor-wrong`. */
export async function usePasskey(deps: FactorDeps, call: FactorCall, given: PasskeyGiven): Promise<Shown> {
  const { party } = given;
  const response = parseAssertion(given.response);
  const client = parseClientData(response.response.clientDataJSON);
  const at = new Date(deps.clock.now());
  const key = { id: client.challenge, session: call.session.id, purpose: 'authenticate' } as const;
  const row = (await factorRows(deps.db, call.session.subject)).find((r) => r.credential === response.id);
  const refuse = (reason: FailedBecause, detail: string) =>
    refuseFactor(deps, call, { method: 'webauthn', factor: row?.id, reason, detail });
  if (!(await takeCeremony(deps.db, key, at)))
    return refuse('challenge', 'This answer came too late or twice. Begin again.');
  if (client.origin !== party.origin)
    return refuse('wrong-origin', `This passkey was asked for by another site than ${party.origin}.`);
  if (row === undefined || row.public_key === null || row.credential === null)
    return refuse('unknown-passkey', 'This passkey is not one of yours here.');
  const verified = await verifyAuthenticationResponse({
    response: {
      id: response.id,
      rawId: response.rawId,
      type: response.type,
      response: {
        clientDataJSON: response.response.clientDataJSON,
        authenticatorData: response.response.authenticatorData,
        signature: response.response.signature,
      },
      clientExtensionResults: {},
    },
    expectedChallenge: client.challenge,
    expectedOrigin: party.origin,
    expectedRPID: party.id,
    // The counter is compared in the database, so that two replicas cannot both accept one answer; 0 passes here.
    credential: { id: row.credential, publicKey: new Uint8Array(row.public_key), counter: 0 },
    requireUserVerification: true,
  }).catch(() => undefined);
  if (verified === undefined || !verified.verified)
    return refuse('not-verified', 'This passkey could not be verified. Try again.');
  const { newCounter: counter, credentialBackedUp: backedUp } = verified.authenticationInfo;
  if (!(await acceptCounter(deps.db, { factor: row.id, counter, backedUp, at })))
    return refuse(
      'counter-went-back',
      'This passkey may have been copied, so it is not believed. Use another factor, remove this one, and tell the security officers.',
    );
  return stepUp(deps, call, { method: 'webauthn', factor: row.id });
}
