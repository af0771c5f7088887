/**
 * A token bucket, pure: it fills by `perSecond` up to `burst`, and every admitted request takes one token. Time is handed in, in milliseconds of
 * any monotonic origin. Over any interval of t seconds it admits at most burst + perSecond * t. Owns no state.
 */

export interface Rate {
  /** Tokens a second in the long run; may be below one. */
  readonly perSecond: number;
  /** Tokens that a rested bucket holds. */
  readonly burst: number;
}

export interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** Sums of fractions do not meet whole numbers exactly. */
const EPSILON = 1e-9;

export function fullBucket(rate: Rate, atMs: number): Bucket {
  return { tokens: rate.burst, atMs };
}

/** A time before the bucket's own adds nothing and does not turn it back. */
export function refill(bucket: Bucket, rate: Rate, atMs: number): Bucket {
  const elapsedSeconds = Math.max(0, atMs - bucket.atMs) / 1000;
  return {
    tokens: Math.min(rate.burst, bucket.tokens + elapsedSeconds * rate.perSecond),
    atMs: Math.max(atMs, bucket.atMs),
  };
}

/** Whole tokens, at most `want`; a negative `want` puts tokens back, at most up to `burst`. */
export function draw(
  bucket: Bucket,
  rate: Rate,
  { want, atMs }: { readonly want: number; readonly atMs: number },
): { readonly bucket: Bucket; readonly drawn: number } {
  const { tokens, atMs: at } = refill(bucket, rate, atMs);
  const drawn = want < 0 ? want : Math.min(want, Math.floor(tokens + EPSILON));
  return { bucket: { tokens: Math.min(rate.burst, Math.max(0, tokens - drawn)), atMs: at }, drawn };
}

/** Milliseconds until the bucket holds a whole token; 0 where it does. */
export function waitMs(bucket: Bucket, rate: Rate, atMs: number): number {
  const { tokens } = refill(bucket, rate, atMs);
  return Math.ceil((Math.max(0, 1 - EPSILON - tokens) / rate.perSecond) * 1000);
}
