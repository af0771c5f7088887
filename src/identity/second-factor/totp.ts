/** Time-based codes (RFC 6238): SHA-1, six digits, steps of 30 s, as every authenticator app reads them. Pure; no code is accepted here, only recognised. */
import { generateSecret, generateURI, verify } from 'otplib';

export const STEP_SECONDS = 30;
const SKEW_SECONDS = STEP_SECONDS;
const SECRET_BYTES = 20;

/** 160 random bits in base 32 (RFC 4226 section 4, R6). */
export function newTotpSecret(): string {
  return generateSecret({ length: SECRET_BYTES });
}

/** What an authenticator app reads from the QR code. `host` tells apart the entries of two facilities. */
export function totpUri(secret: string, of: { readonly subject: string; readonly host: string }): string {
  return generateURI({ issuer: `Beamway ${of.host}`, label: of.subject, secret, period: STEP_SECONDS, digits: 6 });
}

/** The step that `code` is of, this one or a neighbour; undefined where it is of none. `nowMs` in milliseconds since the Unix epoch. */
export async function totpStep(secret: string, code: string, nowMs: number): Promise<number | undefined> {
  if (!/^[0-9]{6}$/.test(code)) return undefined;
  const found = await verify({
    strategy: 'totp',
    secret,
    token: code,
    epoch: Math.floor(nowMs / 1000),
    epochTolerance: SKEW_SECONDS,
  });
  return found.valid && 'timeStep' in found ? found.timeStep : undefined;
}
