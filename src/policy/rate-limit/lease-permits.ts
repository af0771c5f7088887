/**
 * Rates that all replicas keep together: this replica leases permits in batches from the shared buckets and spends them without a round trip.
 * A batch is what the last seconds used, at most what the limit brings in a tenth of a second, so that n replicas hold at most n tenths; idle
 * permits go back after a second. Where the shared buckets cannot be reached, a stated share of the limit is admitted from local ones.
 * State: the permits in hand, by key. Time is the clock's; the shared buckets have their own.
 */
import type { Clock } from '../../clock.ts';
import { type Bucket, draw, fullBucket, type Rate, waitMs } from './bucket.ts';
import type { BucketSource } from './bucket-source.ts';

export interface RateLimit {
  readonly key: string;
  readonly rate: Rate;
}

export type RateVerdict =
  /** `left`: tokens of each limit that this replica knows of, in the order asked. */
  | { readonly kind: 'admitted'; readonly left: readonly number[] }
  /** `by`: index of the limit that refuses; nothing was taken from the others. */
  | { readonly kind: 'refused'; readonly by: number; readonly waitMs: number };

export interface Leases {
  /** Takes one permit of each limit, or of none. At once where all are in hand; never rejects. */
  take(limits: readonly RateLimit[]): RateVerdict | Promise<RateVerdict>;
  /** Permits in hand and not spent. */
  held(key: string): number;
  /** Gives back what is in hand, and stops. */
  close(): Promise<void>;
}

export interface LeasesDeps {
  readonly source: BucketSource;
  readonly clock: Clock;
  readonly log: { warn(fields: object, text: string): void };
  /** Of each limit, while the shared buckets cannot be reached; one part in the number of replicas is exact. */
  readonly shareWhenAway: number;
  /** Shakes replicas out of step; tests make it constant. */
  readonly random?: () => number;
}

/** A batch is to last this long, where its limit allows. */
const HORIZON_SECONDS = 2;
const MOST_OF_LIMIT_SECONDS = 0.1;
const IDLE_MS = 1000;
const TICK_MS = 500;
const FORGET_MS = 10_000;
/** While a bucket is dry it is asked this often, half to one and a half times. */
const DRY_POLL_MS = 40;
/** A round trip may take this long before local shares serve. */
const PATIENCE_MS = 250;
const AWAY_MS = 1000;
const ROUNDS = 4;

interface Holding {
  readonly key: string;
  rate: Rate;
  permits: number;
  /** Of the shared bucket, as last heard. */
  left: number;
  /** Asking before this (clock, ms) is of no use. */
  dryUntilMs: number;
  /** Permits spent since `sinceMs`, and the rate of it before. */
  used: number;
  sinceMs: number;
  usedPerSecond: number;
  usedAtMs: number;
  batch: number;
  asking: boolean;
  /** Requests that wait for permits. */
  waiting: number;
  /** Serves while the shared bucket cannot be reached. */
  local: Bucket | undefined;
}

export function openLeases(deps: LeasesDeps): Leases {
  const { source, clock, random = Math.random } = deps;
  const holdings = new Map<string, Holding>();
  const due = new Set<Holding>();
  let next: PromiseWithResolvers<void> | undefined;
  let running: Promise<void> | undefined;
  let awayUntilMs = Number.NEGATIVE_INFINITY;
  let stuck = false;
  let closed = false;

  const isAway = (nowMs: number): boolean => stuck || closed || nowMs < awayUntilMs;

  function holdingOf({ key, rate }: RateLimit, nowMs: number): Holding {
    let holding = holdings.get(key);
    if (holding === undefined) {
      holding = {
        key,
        rate,
        permits: 0,
        left: rate.burst,
        dryUntilMs: Number.NEGATIVE_INFINITY,
        used: 0,
        sinceMs: nowMs,
        usedPerSecond: 0,
        usedAtMs: nowMs,
        batch: 1,
        asking: false,
        waiting: 0,
        local: undefined,
      };
      holdings.set(key, holding);
    } else if (holding.rate !== rate) holding.rate = rate;
    return holding;
  }

  /** Undefined where permits have to be asked for first. */
  function takeInHand(limits: readonly RateLimit[], nowMs: number): RateVerdict | undefined {
    let lacking = false;
    const these: Holding[] = [];
    for (const [by, limit] of limits.entries()) {
      const holding = holdingOf(limit, nowMs);
      these.push(holding);
      if (holding.permits >= 1) continue;
      if (isAway(nowMs)) {
        const wait = drawLocal(holding, nowMs);
        if (wait > 0) return { kind: 'refused', by, waitMs: wait };
      } else if (nowMs < holding.dryUntilMs) return { kind: 'refused', by, waitMs: holding.dryUntilMs - nowMs };
      else lacking = true;
    }
    if (lacking) return undefined;
    const left: number[] = [];
    for (const holding of these) {
      holding.permits -= 1;
      holding.used += 1;
      holding.usedAtMs = nowMs;
      left.push(Math.floor(holding.permits + holding.left));
      const low = holding.permits * 2 < holding.batch;
      if (low && !holding.asking && nowMs >= holding.dryUntilMs && !isAway(nowMs)) void ask(holding);
    }
    return { kind: 'admitted', left };
  }

  /** Milliseconds to wait, or 0 with one more permit in hand. */
  function drawLocal(holding: Holding, atMs: number): number {
    const { perSecond, burst } = holding.rate;
    const share = { perSecond: perSecond * deps.shareWhenAway, burst: Math.max(1, burst * deps.shareWhenAway) };
    const { bucket, drawn } = draw(holding.local ?? fullBucket(share, atMs), share, { want: 1, atMs });
    holding.local = bucket;
    holding.left = bucket.tokens;
    holding.permits += drawn;
    return drawn === 1 ? 0 : Math.max(1, waitMs(bucket, share, atMs));
  }

  /** Resolves when the round trip that carries it is over, whatever came of it. */
  function ask(holding: Holding): Promise<void> {
    due.add(holding);
    next ??= Promise.withResolvers<void>();
    // After the present turn: what else is asked for in it goes along.
    running ??= new Promise<void>((resolve) => setImmediate(resolve)).then(runTrips);
    return next.promise;
  }

  async function runTrips(): Promise<void> {
    while (due.size > 0) {
      const done = next;
      next = undefined;
      const trip = [...due].map((holding) => ({ holding, want: wantOf(holding, clock.monotonic()) }));
      due.clear();
      await makeTrip(
        trip.filter(({ want }) => want !== 0),
        () => done?.resolve(),
      );
      done?.resolve();
    }
    running = undefined;
  }

  /** What to ask for now, or give back as a negative number; the holding is left as if it was given. */
  function wantOf(holding: Holding, nowMs: number): number {
    const { rate, waiting } = holding;
    holding.waiting = 0;
    const elapsedSeconds = Math.max(0.1, (nowMs - holding.sinceMs) / 1000);
    const present = holding.used / elapsedSeconds;
    if (closed || (waiting === 0 && nowMs - holding.usedAtMs >= IDLE_MS)) {
      const back = Math.floor(holding.permits);
      holding.permits = 0;
      holding.batch = 1;
      return -back;
    }
    const most = Math.max(1, Math.ceil(rate.perSecond * MOST_OF_LIMIT_SECONDS));
    const perSecond = Math.max(present, holding.usedPerSecond / 2);
    holding.batch = Math.min(most, Math.max(1, Math.ceil(perSecond * HORIZON_SECONDS)));
    if (nowMs - holding.sinceMs >= 100) {
      holding.usedPerSecond = perSecond;
      holding.used = 0;
      holding.sinceMs = nowMs;
    }
    const want = Math.max(0, Math.max(waiting, holding.batch) - Math.floor(holding.permits));
    holding.asking = want > 0;
    return want;
  }

  async function makeTrip(
    trip: readonly { readonly holding: Holding; readonly want: number }[],
    giveUp: () => void,
  ): Promise<void> {
    if (trip.length === 0) return;
    const cancel = clock.after(PATIENCE_MS, () => {
      stuck = true;
      deps.log.warn({ keys: trip.length }, 'rate limits: the shared buckets do not answer; local shares serve');
      giveUp();
    });
    try {
      const asks = trip.map(({ holding, want }) => ({ key: holding.key, rate: holding.rate, want }));
      const grants = new Map((await source.exchange(asks)).map((grant) => [grant.key, grant]));
      const nowMs = clock.monotonic();
      for (const { holding, want } of trip) {
        const grant = grants.get(holding.key);
        if (grant === undefined) continue;
        holding.left = grant.left;
        holding.local = undefined;
        if (want < 0) continue;
        holding.permits += grant.granted;
        if (grant.granted >= want) continue;
        const oneMs = (Math.max(0, 1 - grant.left) / holding.rate.perSecond) * 1000;
        holding.dryUntilMs = nowMs + Math.max(oneMs, DRY_POLL_MS * (0.5 + random()));
      }
    } catch (cause) {
      // What was to be given back may or may not have arrived: it counts as lost, at most one batch.
      if (!isAway(clock.monotonic()))
        deps.log.warn({ err: cause }, 'rate limits: the shared buckets cannot be reached; local shares serve');
      awayUntilMs = clock.monotonic() + AWAY_MS;
    } finally {
      cancel();
      stuck = false;
      for (const { holding } of trip) holding.asking = false;
    }
  }

  async function takeSlowly(limits: readonly RateLimit[]): Promise<RateVerdict> {
    for (let round = 0; round < ROUNDS; round++) {
      const nowMs = clock.monotonic();
      const lacking = limits.map((limit) => holdingOf(limit, nowMs)).filter((h) => h.permits < 1);
      for (const holding of lacking) holding.waiting += 1;
      await Promise.all(lacking.map(ask));
      const verdict = takeInHand(limits, clock.monotonic());
      if (verdict !== undefined) return verdict;
    }
    const by = limits.findIndex(({ key }) => (holdings.get(key)?.permits ?? 0) < 1);
    return { kind: 'refused', by: Math.max(0, by), waitMs: 1000 };
  }

  let cancelTick = clock.after(TICK_MS, tick);
  function tick(): void {
    const nowMs = clock.monotonic();
    for (const [key, holding] of holdings) {
      const idleMs = nowMs - holding.usedAtMs;
      if (idleMs < IDLE_MS || holding.asking || holding.waiting > 0) continue;
      if (holding.permits >= 1 && !isAway(nowMs)) void ask(holding);
      else if (idleMs >= FORGET_MS && holding.permits < 1 && nowMs >= holding.dryUntilMs) holdings.delete(key);
    }
    cancelTick = clock.after(TICK_MS, tick);
  }

  return {
    take: (limits) => takeInHand(limits, clock.monotonic()) ?? takeSlowly(limits),
    held: (key) => holdings.get(key)?.permits ?? 0,
    async close() {
      cancelTick();
      closed = true;
      // Nobody to give it back to: at most one batch of each key is lost.
      if (stuck) return;
      for (const holding of holdings.values()) if (holding.permits >= 1) void ask(holding);
      await (next?.promise ?? running);
    },
  };
}
