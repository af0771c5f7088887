/** The first half of a passkey ceremony: a challenge of this session, good once and for five minutes, and what the browser is to be asked. */
import { createHash } from 'node:crypto';
import { generateAuthenticationOptions, generateRegistrationOptions } from '@simplewebauthn/server';
import { Problem } from '../../problems.ts';
import { insertCeremony } from './ceremony-store.ts';
import type { FactorCall, FactorDeps } from './factor.ts';
import { factorRows } from './factor-store.ts';
import type { CeremonyPurpose, FactorRow } from './factor-tables-store.ts';
import { checkRoom } from './limit-factors.ts';
import { permitChange } from './permit-change.ts';
import type { RelyingParty } from './relying-party.ts';

export const CHALLENGE_MS = 5 * 60_000;
/** EdDSA, ES256, RS256: what authenticators have (COSE numbers). The library's own list asks for an algorithm that Node calls experimental. */
export const ALGORITHMS = [-8, -7, -257];

export type RegistrationOptions = Awaited<ReturnType<typeof generateRegistrationOptions>>;
export type AssertionOptions = Awaited<ReturnType<typeof generateAuthenticationOptions>>;

/** Throws `refused` where factors may not be changed now, `conflict` where there are enough. */
export async function offerPasskey(
  deps: FactorDeps,
  call: FactorCall,
  party: RelyingParty,
): Promise<RegistrationOptions> {
  const rows = await permitChange(deps, call, deps.db);
  checkRoom(rows);
  const { subject } = call.session;
  const options = await generateRegistrationOptions({
    rpName: `Beamway ${party.id}`,
    rpID: party.id,
    userName: subject,
    userDisplayName: subject,
    userID: userHandle(subject),
    timeout: CHALLENGE_MS,
    attestationType: 'none',
    supportedAlgorithmIDs: ALGORITHMS,
    excludeCredentials: descriptors(rows, party),
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
  });
  await remember(deps, call, { challenge: options.challenge, purpose: 'register' });
  return options;
}

/** Throws `not-found` where the person has no passkey under this host name. */
export async function askPasskey(deps: FactorDeps, call: FactorCall, party: RelyingParty): Promise<AssertionOptions> {
  const allowCredentials = descriptors(await factorRows(deps.db, call.session.subject), party);
  if (allowCredentials.length === 0) throw new Problem('not-found', `You have no passkey for ${party.id}.`);
  const options = await generateAuthenticationOptions({
    rpID: party.id,
    allowCredentials,
    timeout: CHALLENGE_MS,
    userVerification: 'required',
  });
  await remember(deps, call, { challenge: options.challenge, purpose: 'authenticate' });
  return options;
}

function remember(
  deps: FactorDeps,
  call: FactorCall,
  ceremony: { readonly challenge: string; readonly purpose: CeremonyPurpose },
): Promise<void> {
  const now = deps.clock.now();
  const expires_at = new Date(now + CHALLENGE_MS);
  const { challenge: id, purpose } = ceremony;
  return insertCeremony(
    deps.db,
    { id, session: call.session.id, purpose, sealed: null, key_id: null, expires_at },
    new Date(now),
  );
}

function descriptors(rows: readonly FactorRow[], party: RelyingParty): { id: string; transports: string[] }[] {
  return rows.flatMap((row) =>
    row.credential !== null && row.rp_id === party.id ? [{ id: row.credential, transports: row.transports }] : [],
  );
}

/** The same for one person always, so that an authenticator replaces its passkey of us; no name in it (WebAuthn 14.6.1). */
function userHandle(subject: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(`beamway-person\0${subject}`).digest());
}
