/**
 * The facility's signing keys: Ed25519, in the order in which they sign. Pure. A key is published before it signs, signs until its successor does, and is
 * kept for verifying until the last token that it signed has ended; whoever verifies may keep our key set for CACHE_SECONDS. RFC 7517, RFC 8037.
 */

/** As it stands in the key set that anybody may read. */
export interface PublicJwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
  readonly kid: string;
  readonly alg: 'Ed25519';
  readonly use: 'sig';
}

export interface SigningKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  readonly publicJwk: PublicJwk;
  readonly createdAt: Date;
  readonly signsFrom: Date;
}

export type KeyState = 'published' | 'signing' | 'verifying';

/** How long others may keep our key set; said in its Cache-Control. */
export const CACHE_SECONDS = 300;
/** The longest life of a hop token. */
export const LONGEST_HOP_SECONDS = 300;
/** Clocks of two machines may differ by this much, for hop tokens. */
export const SKEW_SECONDS = 5;

/** From published to signing: twice the cache time, so that a reader who asked just before has asked again. */
export const PUBLISHED_MS = 2 * CACHE_SECONDS * 1000;
/** From its successor's first signature to its end: the last token it signed, and a minute for clocks that differ. */
export const KEPT_MS = (LONGEST_HOP_SECONDS + 60) * 1000;
/** A key signs for this long before its successor is published. */
export const SIGNS_MS = 30 * 86_400_000;

/** The key that signs at `nowMs`; undefined where none does yet. */
export function signerAt<K extends SigningKey>(keys: readonly K[], nowMs: number): K | undefined {
  return inOrder(keys).findLast((key) => key.signsFrom.getTime() <= nowMs);
}

export function keyState(keys: readonly SigningKey[], key: SigningKey, nowMs: number): KeyState {
  if (key.signsFrom.getTime() > nowMs) return 'published';
  return signerAt(keys, nowMs)?.kid === key.kid ? 'signing' : 'verifying';
}

/** When it leaves the key set; null while no successor is known. */
export function verifiesUntil(keys: readonly SigningKey[], key: SigningKey): Date | null {
  const ordered = inOrder(keys);
  const next = ordered[ordered.findIndex((k) => k.kid === key.kid) + 1];
  return next === undefined ? null : new Date(next.signsFrom.getTime() + KEPT_MS);
}

export function removable(keys: readonly SigningKey[], nowMs: number): readonly string[] {
  return keys.filter((key) => (verifiesUntil(keys, key)?.getTime() ?? Infinity) <= nowMs).map((key) => key.kid);
}

/** The last key has signed long enough, so its successor is to be published. */
export function isDue(keys: readonly SigningKey[], nowMs: number): boolean {
  const last = inOrder(keys).at(-1);
  return last === undefined || nowMs - last.signsFrom.getTime() >= SIGNS_MS;
}

function inOrder<K extends SigningKey>(keys: readonly K[]): readonly K[] {
  return keys.toSorted((a, b) => a.signsFrom.getTime() - b.signsFrom.getTime() || (a.kid < b.kid ? -1 : 1));
}
