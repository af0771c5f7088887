/**
 * Makes, turns and removes signing keys, one replica at a time. The regular task keeps them turning; a rotation publishes the next key now, and with
 * `endNow` (the private key is known to somebody else) takes all others away at once: what they signed is refused from then on.
 */
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import type { Clock } from '../../clock.ts';
import { type Queries, transaction } from '../../database/index.ts';
import type { FactorKeys } from '../second-factor/factor-keys.ts';
import { seal } from '../second-factor/seal-secret.ts';
import { isDue, PUBLISHED_MS, removable } from './signing-key.ts';
import { deleteKeys, insertKey, lockKeys, publicJwk, type StoredKey, storedKeys } from './signing-key-store.ts';

export interface TurnDeps {
  readonly db: Queries;
  readonly clock: Clock;
  /** Under which private keys lie in the database. */
  readonly seals: FactorKeys;
}

export interface Turned {
  readonly made: readonly string[];
  readonly removed: readonly string[];
}

export const boundTo = (kid: string): string => `signing-key\0${kid}`;

/** At the start and regularly: the first key signs at once, later ones are published first; keys whose tokens have all ended go. */
export async function turnSigningKeys(deps: TurnDeps): Promise<Turned> {
  const now = deps.clock.now();
  // Most turns change nothing; those hold no lock.
  const before = await storedKeys(deps.db);
  if (!isDue(before, now) && removable(before, now).length === 0) return { made: [], removed: [] };
  const fresh = await newKeyPair();
  return transaction(deps.db, async (trx) => {
    await lockKeys(trx);
    const keys = await storedKeys(trx);
    const removed = removable(keys, now);
    await deleteKeys(trx, removed);
    if (!isDue(keys, now)) return { made: [], removed };
    const signsFrom = new Date(keys.length === 0 ? now : now + PUBLISHED_MS);
    await insertKey(trx, storedKey(deps, fresh, { signsFrom, by: 'system' }));
    return { made: [fresh.kid], removed };
  });
}

/** Publishes the next key. One that is published and does not sign yet is not followed by another, unless everything before it ends now. */
export async function rotateSigningKey(
  deps: TurnDeps,
  wish: { readonly by: string; readonly endNow: boolean },
): Promise<Turned> {
  const now = deps.clock.now();
  const fresh = await newKeyPair();
  return transaction(deps.db, async (trx) => {
    await lockKeys(trx);
    const keys = await storedKeys(trx);
    if (wish.endNow) {
      const removed = keys.map((key) => key.kid);
      await deleteKeys(trx, removed);
      await insertKey(trx, storedKey(deps, fresh, { signsFrom: new Date(now), by: wish.by }));
      return { made: [fresh.kid], removed };
    }
    if (keys.some((key) => key.signsFrom.getTime() > now)) return { made: [], removed: [] };
    await insertKey(trx, storedKey(deps, fresh, { signsFrom: new Date(now + PUBLISHED_MS), by: wish.by }));
    return { made: [fresh.kid], removed: [] };
  });
}

interface KeyPair {
  readonly kid: string;
  readonly x: string;
  readonly privateJwk: string;
}

async function newKeyPair(): Promise<KeyPair> {
  const { privateKey } = await generateKeyPair('Ed25519', { extractable: true });
  const jwk = await exportJWK(privateKey);
  const { x } = jwk;
  if (x === undefined) throw new Error('a new Ed25519 key has no public half');
  const kid = await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x });
  return { kid, x, privateJwk: JSON.stringify(jwk) };
}

function storedKey(
  deps: TurnDeps,
  { kid, x, privateJwk }: KeyPair,
  at: { readonly signsFrom: Date; readonly by: string },
): StoredKey {
  return {
    kid,
    publicJwk: publicJwk(kid, x),
    createdAt: new Date(deps.clock.now()),
    createdBy: at.by,
    signsFrom: at.signsFrom,
    sealed: seal(deps.seals, privateJwk, boundTo(kid)),
  };
}
