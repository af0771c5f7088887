/**
 * Who does this bearer stand for? Looks once in the database, then answers from memory while the revocation epoch stands
 * still. The epoch is read every 250 ms; when it could not be read for one second every bearer is refused
 * (architecture.md 3b: caches hold for one epoch read, then fail closed).
 */
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { Caller } from './caller.ts';
import { type Epoch, readEpoch, tokenByDigest } from './store.ts';
import { callerOf, type Token, tokenState } from './token.ts';
import { bearerDigest, bearerKind } from './token-text.ts';

const EPOCH_EVERY_MS = 250;
const EPOCH_STALE_MS = 1000;
const CACHE_ENTRIES = 20_000;

export interface TokenVerifier {
  /** Throws a Problem `token-*`, or `unavailable` while the epoch cannot be read. */
  verify(text: string): Promise<Caller>;
  /** Nobody mints, and external paths are shut, while this is so (`beamway lockdown`). */
  lockedDown(): boolean;
  /** Reads the epoch now; called after a revocation on this replica so that it holds here at once. */
  refresh(): Promise<void>;
  stop(): void;
}

interface Known {
  readonly token: Token;
  readonly caller: Caller;
}

export async function openTokenVerifier(db: Queries, clock: Clock): Promise<TokenVerifier> {
  const cache = new Map<string, Known>();
  let epoch: Epoch = await readEpoch(db);
  let readAtMs = clock.monotonic();
  let stopped = false;
  let cancel = (): void => undefined;

  // A reading counts from when it was asked for: what was revoked after that may be missing from it.
  const refresh = async (): Promise<void> => {
    const askedAtMs = clock.monotonic();
    const value = await readEpoch(db);
    if (value.value !== epoch.value) cache.clear();
    epoch = value;
    readAtMs = Math.max(readAtMs, askedAtMs);
  };
  const tick = (): void => {
    if (stopped) return;
    refresh()
      .catch(() => undefined) // a failed read only ages the last one; verify() refuses after EPOCH_STALE_MS
      .finally(() => {
        if (!stopped) cancel = clock.after(EPOCH_EVERY_MS, tick);
      });
  };
  cancel = clock.after(EPOCH_EVERY_MS, tick);

  const look = async (text: string): Promise<Known> => {
    const digest = bearerDigest(text);
    const before = epoch.value;
    const token = await tokenByDigest(db, digest);
    if (token === undefined) throw new Problem('token-unknown', 'This bearer is not known at this facility.');
    const known = { token, caller: callerOf(token) };
    if (before === epoch.value) {
      if (cache.size >= CACHE_ENTRIES) cache.clear();
      cache.set(text, known);
    }
    return known;
  };

  return {
    async verify(text) {
      if (bearerKind(text) === undefined)
        throw new Problem('token-malformed', 'This is no bearer of ours: its shape or checksum is wrong.');
      if (clock.monotonic() - readAtMs > EPOCH_STALE_MS) {
        throw new Problem('unavailable', 'Revocations could not be read for a second, so no bearer is believed.', {
          retryAfterSeconds: 1,
        });
      }
      const { token, caller } = cache.get(text) ?? (await look(text));
      const state = tokenState(token, clock.now());
      if (state === 'active') return caller;
      if (state === 'revoked') throw new Problem('token-revoked', `Token ${token.id} was revoked.`);
      if (state === 'expired')
        throw new Problem('token-expired', `Token ${token.id} expired at ${token.expiresAt.toISOString()}.`);
      throw new Problem('token-not-yet-valid', `Token ${token.id} is valid from ${token.notBefore.toISOString()}.`);
    },
    lockedDown: () => epoch.lockdownAt !== null,
    refresh,
    stop() {
      stopped = true;
      cancel();
    },
  };
}
