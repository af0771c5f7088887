/**
 * Who does this bearer stand for? Looks once in the database, then answers from memory while the revocation epoch stands
 * still. The epoch is read every 250 ms; when it could not be read for one second every bearer is refused
 * (architecture.md 3b: caches hold for one epoch read, then fail closed). A renewal moves no epoch: what is remembered as
 * expired is looked up again first. Look-ups are bounded, and the epoch need not share their connections.
 */
import { timingSafeEqual } from 'node:crypto';
import { type AddressList, addressList } from '../address-list.ts';
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { Caller } from './caller.ts';
import { type Epoch, readEpoch } from './epoch-store.ts';
import { openLookUps } from './look-ups.ts';
import { type SettledRoles, withStanding } from './people/with-standing.ts';
import { tokenByDigest } from './store.ts';
import { callerOf, START_LEEWAY_MS, type Token, tokenState } from './token.ts';
import { bearerDigest, bearerKind } from './token-text.ts';

const EPOCH_EVERY_MS = 250;
const EPOCH_STALE_MS = 1000;
const CACHE_ENTRIES = 20_000;
/** A token that was found expired is not looked up again for so long. */
const EXPIRED_FOR_MS = 250;

/** Where a bearer came from. */
export interface BearerFrom {
  /** SHA-256 of the secret in the browser's own cookie; absent for a bearer in an Authorization header. */
  readonly browser?: Buffer;
  /** Of whoever sent it; without one, a token with source ranges is refused. */
  readonly address?: string;
}

export interface TokenVerifier {
  /** Throws a Problem `token-*` (WrongSource where all but the address was right), or `unavailable` while the epoch cannot be read. */
  verify(text: string, from?: BearerFrom): Promise<Caller>;
  /** Nobody mints, and external paths are shut, while this is so (`beamway lockdown`). */
  lockedDown(): boolean;
  /** Reads the epoch now; called after a revocation on this replica so that it holds here at once. */
  refresh(): Promise<void>;
  stop(): void;
}

/** The bearer is known and alive, but not for that address: the denial is recorded with its caller. */
export class WrongSource extends Problem {
  readonly caller: Caller;
  constructor(caller: Caller, from: string | undefined) {
    super('token-wrong-source', `Token ${caller.id} may not be used from ${from ?? 'an unknown address'}.`);
    this.caller = caller;
  }
}

interface Known {
  readonly token: Token;
  readonly caller: Caller;
  /** Undefined: from anywhere. */
  readonly sources: AddressList | undefined;
  /** When a membership of the caller ends by its date, milliseconds since the Unix epoch. */
  readonly changesAt: number | undefined;
  /** When it was looked up and had expired, in milliseconds of the monotonic clock; undefined where it had not. */
  readonly expiredAtMs: number | undefined;
}

export interface VerifierOptions {
  /** Facility roles by subject, of people.yaml. */
  readonly settled?: SettledRoles;
  /** Connections that nothing else uses: an epoch that waits for one would shut everybody out. Default: those of the look-ups. */
  readonly epochDb?: Queries;
}

export async function openTokenVerifier(
  db: Queries,
  clock: Clock,
  { settled = {}, epochDb = db }: VerifierOptions = {},
): Promise<TokenVerifier> {
  const cache = new Map<string, Known>();
  const lookUps = openLookUps<Known>();
  let epoch: Epoch = await readEpoch(epochDb);
  let readAtMs = clock.monotonic();
  let stopped = false;
  let cancel = (): void => undefined;

  // A reading counts from when it was asked for: what was revoked after that may be missing from it.
  const refresh = async (): Promise<void> => {
    const askedAtMs = clock.monotonic();
    const value = await readEpoch(epochDb);
    // Overtaken by a later one: an epoch that goes back would let look-ups from before a revocation count again.
    if (askedAtMs < readAtMs) return;
    if (value.value !== epoch.value) cache.clear();
    epoch = value;
    readAtMs = askedAtMs;
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

  // Of the same epoch only: what was asked for before a revocation must not answer whoever asks after it.
  const look = (text: string): Promise<Known> => {
    const digest = bearerDigest(text);
    const before = epoch.value;
    return lookUps.run(`${digest.toString('base64')} ${before}`, () => lookUp(text, { digest, before }));
  };
  const lookUp = async (text: string, of: { readonly digest: Buffer; readonly before: number }): Promise<Known> => {
    const askedAtMs = clock.monotonic();
    const token = await tokenByDigest(db, of.digest);
    if (token === undefined) throw new Problem('token-unknown', 'This bearer is not known at this facility.');
    const sources = token.sources.length === 0 ? undefined : addressList(token.sources);
    const { caller, changesAt } = await withStanding(db, callerOf(token), { nowMs: clock.now(), settled });
    const isExpired = tokenState(token, clock.now()) === 'expired';
    const known = { token, caller, sources, changesAt, expiredAtMs: isExpired ? askedAtMs : undefined };
    if (of.before === epoch.value) {
      if (cache.size >= CACHE_ENTRIES) cache.clear();
      cache.set(text, known);
    }
    return known;
  };

  /** Remembered as expired, and not looked at of late. */
  const mayBeRenewed = ({ token, expiredAtMs }: Known): boolean =>
    tokenState(token, clock.now()) === 'expired' &&
    (expiredAtMs === undefined || clock.monotonic() - expiredAtMs >= EXPIRED_FOR_MS);

  return {
    async verify(text, from = {}) {
      if (bearerKind(text) === undefined)
        throw new Problem('token-malformed', 'This is no bearer of ours: its shape or checksum is wrong.');
      if (clock.monotonic() - readAtMs > EPOCH_STALE_MS) {
        throw new Problem('unavailable', 'Revocations could not be read for a second, so no bearer is believed.', {
          retryAfterSeconds: 1,
        });
      }
      const cached = cache.get(text);
      // A membership that ends by its date ends without an epoch.
      const holds = cached !== undefined && clock.now() < (cached.changesAt ?? Number.POSITIVE_INFINITY);
      const { token, caller, sources } = holds && !mayBeRenewed(cached) ? cached : await look(text);
      checkBrowser(token, from.browser);
      const state = tokenState(token, clock.now(), START_LEEWAY_MS);
      if (state === 'active') {
        if (sources === undefined || (from.address !== undefined && sources.check(from.address))) return caller;
        throw new WrongSource(caller, from.address);
      }
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

/** A session that lives in a browser is believed with that browser's cookie only, and any other bearer in a header only. */
function checkBrowser(token: Token, browser: Buffer | undefined): void {
  if (token.browser === null && browser === undefined) return;
  if (token.browser !== null && browser !== undefined && token.browser.length === browser.length)
    if (timingSafeEqual(token.browser, browser)) return;
  throw new Problem('token-unknown', 'This session is believed in the browser only that signed in.');
}
