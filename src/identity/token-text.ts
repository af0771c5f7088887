/**
 * The text form of a bearer: prefix, 52 characters (260 random bits, base 32), 6 characters of checksum. The checksum lets a
 * secret scanner tell a real token from noise, and lets us refuse a truncated paste without a look-up. Only the SHA-256
 * digest of the text is ever stored (architecture.md 3b; GitHub and npm use the same shape).
 */
import { createHash } from 'node:crypto';
import { randomText } from '../id.ts';

export const BEARER_PREFIXES = { token: 'bwp_', session: 'bws_', node: 'bwn_' } as const;
export type BearerKind = keyof typeof BEARER_PREFIXES;

const BODY_CHARACTERS = 52;
const CHECK_CHARACTERS = 6;
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const SHAPE = new RegExp(`^(bwp|bws|bwn)_[${ALPHABET}]{${BODY_CHARACTERS + CHECK_CHARACTERS}}$`);

function checksum(text: string): string {
  const digest = createHash('sha256').update(text).digest();
  let out = '';
  for (let i = 0; i < CHECK_CHARACTERS; i++) out += ALPHABET[(digest[i] ?? 0) & 31] ?? '';
  return out;
}

export function newBearer(kind: BearerKind): string {
  const text = BEARER_PREFIXES[kind] + randomText(BODY_CHARACTERS);
  return text + checksum(text);
}

/** The kind of a well-formed bearer, or undefined where shape or checksum is wrong. */
export function bearerKind(text: string): BearerKind | undefined {
  if (!SHAPE.test(text)) return undefined;
  const end = text.length - CHECK_CHARACTERS;
  if (checksum(text.slice(0, end)) !== text.slice(end)) return undefined;
  const prefix = text.slice(0, 4);
  return (Object.keys(BEARER_PREFIXES) as BearerKind[]).find((kind) => BEARER_PREFIXES[kind] === prefix);
}

/** What the database holds in place of the text: SHA-256, 32 bytes. 260 random bits need no salt and no slow hash. */
export function bearerDigest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
