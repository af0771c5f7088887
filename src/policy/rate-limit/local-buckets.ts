/**
 * Buckets of one process, by key: for what must cost no round trip, because nobody has shown who he is yet. State: one bucket for each
 * key of late; a key without one has a full bucket, so whole ones may be forgotten. At most `most` are kept.
 */
import type { Clock } from '../../clock.ts';
import { type Bucket, draw, fullBucket, type Rate, refill, waitMs } from './bucket.ts';

export interface LocalBuckets {
  /** Takes one token of `key`; gives 0, or the milliseconds to wait where there is none. */
  take(key: string): number;
  /** Puts one token of `key` back. */
  giveBack(key: string): void;
  /** Whole tokens that `key` has left. */
  left(key: string): number;
}

/** At most 100,000 keys unless told: some 20 MB. */
const MOST_KEYS = 100_000;

export function localBuckets(rate: Rate, clock: Clock, most: number = MOST_KEYS): LocalBuckets {
  const buckets = new Map<string, Bucket>();
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  /** Forgets the rested ones, looked for at most once a second because that is dear; else the one that was used longest ago. */
  const makeRoom = (nowMs: number): void => {
    if (nowMs - lookedAtMs >= 1000) {
      lookedAtMs = nowMs;
      for (const [key, bucket] of buckets) if (refill(bucket, rate, nowMs).tokens >= rate.burst) buckets.delete(key);
    }
    const [oldest] = buckets.keys();
    if (buckets.size >= most && oldest !== undefined) buckets.delete(oldest);
  };
  return {
    take(key) {
      const atMs = clock.monotonic();
      const known = buckets.get(key);
      if (known === undefined && buckets.size >= most) makeRoom(atMs);
      const { bucket, drawn } = draw(known ?? fullBucket(rate, atMs), rate, { want: 1, atMs });
      // Set anew: the map's order is that of the last use.
      buckets.delete(key);
      buckets.set(key, bucket);
      return drawn === 1 ? 0 : waitMs(bucket, rate, atMs);
    },
    giveBack(key) {
      const known = buckets.get(key);
      // One that was forgotten is full.
      if (known !== undefined) buckets.set(key, draw(known, rate, { want: -1, atMs: clock.monotonic() }).bucket);
    },
    left(key) {
      const bucket = buckets.get(key);
      return Math.floor(bucket === undefined ? rate.burst : refill(bucket, rate, clock.monotonic()).tokens);
    },
  };
}
