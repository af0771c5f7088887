/**
 * Recovery codes: ten of 80 random bits, in groups that can be read from paper, and what a person may type where a code is asked for.
 * The database holds scrypt digests (RFC 7914) under one salt for each set, so that one derivation finds the code among its ten.
 */
import { randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { randomText } from '../../id.ts';

export const RECOVERY_CODES = 10;
const CHARACTERS = 16;
const GROUP = 4;
const SALT_BYTES = 16;
const DIGEST_BYTES = 32;
/** 32 MiB for each derivation; Node's own limit of 32 MiB is just too small for that. */
const COST = { N: 32_768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
const LONGEST_INPUT = 64;

const derive = promisify(scrypt) as (
  password: string,
  salt: Buffer,
  length: number,
  options: typeof COST,
) => Promise<Buffer>;

export type TypedCode =
  | { readonly method: 'totp'; readonly code: string }
  | { readonly method: 'recovery-code'; readonly code: string };

/** What was typed, spaces and hyphens laid aside; undefined where it can be neither kind of code. */
export function parseCode(text: string): TypedCode | undefined {
  if (text.length > LONGEST_INPUT) return undefined;
  const plain = text.replaceAll(/[\s-]/g, '').toLowerCase();
  if (/^[0-9]{6}$/.test(plain)) return { method: 'totp', code: plain };
  // Crockford's base 32: what looks alike means the same.
  const code = plain.replaceAll('o', '0').replaceAll(/[il]/g, '1');
  return new RegExp(`^[0-9a-hjkmnp-tv-z]{${CHARACTERS}}$`).test(code) ? { method: 'recovery-code', code } : undefined;
}

/** As it is shown: `xxxx-xxxx-xxxx-xxxx`. */
export function newRecoveryCode(): string {
  return randomText(CHARACTERS).replaceAll(new RegExp(`.{${GROUP}}(?=.)`, 'g'), '$&-');
}

export function newSalt(): Buffer {
  return randomBytes(SALT_BYTES);
}

/** `code` as parseCode gives it. */
export function recoveryDigest(code: string, salt: Buffer): Promise<Buffer> {
  return derive(code, salt, DIGEST_BYTES, COST);
}
