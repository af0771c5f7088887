/**
 * The signing keys in this replica's memory: read every five seconds, and at once (at most once a second) for a key id that is not known yet. Keys that
 * could not be read for five minutes are believed no more.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type CryptoKey, importJWK } from 'jose';
import type { Clock } from '../../clock.ts';
import type { Queries } from '../../database/index.ts';
import { Problem } from '../../problems.ts';
import { type FactorKeys, readFactorKeys } from '../second-factor/factor-keys.ts';
import { unseal } from '../second-factor/seal-secret.ts';
import { type PublicJwk, type SigningKey, signerAt } from './signing-key.ts';
import { type StoredKey, storedKeys } from './signing-key-store.ts';
import { boundTo, rotateSigningKey, type Turned, turnSigningKeys } from './turn-signing-keys.ts';

const READ_EVERY_MS = 5000;
const UNKNOWN_EVERY_MS = 1000;
const STALE_MS = 300_000;

export interface SigningKeys {
  /** Throws `unavailable` where there is none that can be believed. */
  signer(): { readonly kid: string; readonly key: CryptoKey };
  /** Undefined for a key that is not ours, or no more. Throws `unavailable`. */
  publicKey(kid: string): Promise<CryptoKey | undefined>;
  /** As last read, in the order of their signing. */
  list(): readonly SigningKey[];
  /** RFC 7517. */
  keySet(): { readonly keys: readonly PublicJwk[] };
  /** The regular task: makes the next key when it is time, removes what no living token needs. */
  turn(): Promise<Turned>;
  rotate(wish: { readonly by: string; readonly endNow: boolean }): Promise<Turned>;
  stop(): void;
}

export interface SigningKeysDeps {
  readonly db: Queries;
  readonly clock: Clock;
  /** 0600, the same on every replica, never in the database; made where there is none. */
  readonly sealFile: string;
  readonly log: { warn(fields: object, text: string): void };
}

interface Held extends SigningKey {
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
}

/** Throws Error where the seal file is readable by others, damaged, or not the one under which the keys lie. */
export async function openSigningKeys(deps: SigningKeysDeps): Promise<SigningKeys> {
  const { db, clock } = deps;
  mkdirSync(dirname(deps.sealFile), { recursive: true, mode: 0o700 });
  const seals = readFactorKeys(deps.sealFile);
  const turn = { db, clock, seals };
  let held: ReadonlyMap<string, Held> = new Map();
  let readAtMs = -Infinity;
  let unknownAtMs = -Infinity;
  let stopped = false;
  let cancel = (): void => undefined;

  const read = async (): Promise<void> => {
    const askedAtMs = clock.monotonic();
    const rows = await storedKeys(db);
    const next = await Promise.all(rows.map(async (row) => held.get(row.kid) ?? (await opened(row))));
    // Two readings may overlap: the one asked for later knows more.
    if (askedAtMs < readAtMs) return;
    held = new Map(next.map((key) => [key.kid, key]));
    readAtMs = askedAtMs;
  };
  const opened = (row: StoredKey): Promise<Held> => open(row, seals, deps.sealFile);
  const tick = (): void => {
    if (stopped) return;
    read()
      .catch((cause: unknown) => deps.log.warn({ err: cause }, 'the signing keys could not be read'))
      .finally(() => {
        if (!stopped) cancel = clock.after(READ_EVERY_MS, tick);
      });
  };
  const believed = (): readonly Held[] => {
    if (clock.monotonic() - readAtMs > STALE_MS)
      throw new Problem('unavailable', 'The signing keys could not be read for five minutes.', {
        retryAfterSeconds: 1,
      });
    return [...held.values()];
  };
  await turnSigningKeys(turn);
  await read();
  cancel = clock.after(READ_EVERY_MS, tick);

  return {
    signer() {
      const key = signerAt(believed(), clock.now());
      if (key === undefined)
        throw new Problem('unavailable', 'No signing key is in use yet.', { retryAfterSeconds: 1 });
      return { kid: key.kid, key: key.privateKey };
    },
    async publicKey(kid) {
      believed();
      if (!held.has(kid) && clock.monotonic() - unknownAtMs > UNKNOWN_EVERY_MS) {
        unknownAtMs = clock.monotonic();
        await read();
      }
      return held.get(kid)?.publicKey;
    },
    list: () => believed(),
    keySet: () => ({ keys: believed().map((key) => key.publicJwk) }),
    async turn() {
      const turned = await turnSigningKeys(turn);
      await read();
      return turned;
    },
    async rotate(wish) {
      const turned = await rotateSigningKey(turn, wish);
      await read();
      return turned;
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}

async function open(row: StoredKey, seals: FactorKeys, sealFile: string): Promise<Held> {
  let privateJwk: string;
  try {
    privateJwk = unseal(seals, row.sealed, boundTo(row.kid));
  } catch (cause) {
    throw new Error(
      `the signing key ${row.kid} cannot be opened with ${sealFile}: every replica needs the same file, copy it from one that runs or from your backup`,
      { cause },
    );
  }
  const [publicKey, privateKey] = await Promise.all([
    importJWK({ ...row.publicJwk }, 'Ed25519'),
    importJWK(JSON.parse(privateJwk) as object, 'Ed25519'),
  ]);
  if (publicKey instanceof Uint8Array || privateKey instanceof Uint8Array)
    throw new Error(`the signing key ${row.kid} is no Ed25519 key`);
  const { kid, publicJwk, createdAt, signsFrom } = row;
  return { kid, publicJwk, createdAt, signsFrom, publicKey, privateKey };
}
