/** Mints what slurmctld and slurmrestd take for a user: HS256 over the raw bytes of jwt_hs256.key, claims exp, iat, sun. slurm's auth/jwt; reference measured on 22.05.8. */
import { createHmac } from 'node:crypto';

export interface JwtOrder {
  readonly user: string;
  readonly nowMs: number;
  readonly lifetimeSeconds: number;
}

const HEADER = encode({ alg: 'HS256', typ: 'JWT' });

export function mintJwt(
  key: Buffer,
  { user, nowMs, lifetimeSeconds }: JwtOrder,
): { readonly token: string; readonly expiresAtMs: number } {
  const iat = Math.floor(nowMs / 1000);
  const exp = iat + lifetimeSeconds;
  const body = `${HEADER}.${encode({ exp, iat, sun: user })}`;
  return { token: `${body}.${createHmac('sha256', key).update(body).digest('base64url')}`, expiresAtMs: exp * 1000 };
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}
