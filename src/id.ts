/**
 * Identifiers: a prefix that says what is named, and 100 random bits in Crockford's base 32 (no I, L, O, U), so that
 * an id can be read over the telephone and never collides. The prefixes are a closed list (architecture.md 3b).
 */
import { randomBytes } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const ID_CHARACTERS = 20;

export type IdPrefix =
  | 'tok'
  | 'job'
  | 'str'
  | 'crd'
  | 'clm'
  | 'run'
  | 'req'
  | 'win'
  | 'inc'
  | 'chg'
  | 'fac'
  | 'lck'
  | 'cau'
  | 'ntc';
export type Id<P extends IdPrefix> = `${P}_${string}`;

/** `count` characters of 5 random bits each. */
export function randomText(count: number): string {
  let text = '';
  for (const byte of randomBytes(count)) text += ALPHABET[byte & 31] ?? '';
  return text;
}

export function newId<P extends IdPrefix>(prefix: P): Id<P> {
  return `${prefix}_${randomText(ID_CHARACTERS)}`;
}

const PATTERNS = new Map<IdPrefix, RegExp>();

export function isId<P extends IdPrefix>(prefix: P, text: string): text is Id<P> {
  let pattern = PATTERNS.get(prefix);
  if (pattern === undefined) {
    pattern = new RegExp(`^${prefix}_[${ALPHABET}]{${ID_CHARACTERS}}$`);
    PATTERNS.set(prefix, pattern);
  }
  return pattern.test(text);
}
