/**
 * The port to the buckets that replicas share, and the one in memory, for tests and for what needs no database. A replica asks for permits in
 * batches and puts back what it did not use; all asks of one call are one round trip. The other adapter: rate-bucket-store.ts.
 */
import { type Bucket, draw, fullBucket, type Rate } from './bucket.ts';

export interface Ask {
  readonly key: string;
  readonly rate: Rate;
  /** Permits wanted; negative: given back. */
  readonly want: number;
}

export interface Grant {
  readonly key: string;
  /** At most what was wanted; as given where permits were put back. */
  readonly granted: number;
  /** Tokens left in the shared bucket. */
  readonly left: number;
}

export interface BucketSource {
  /** One grant for each ask, in any order; every key once. Rejects where the buckets cannot be reached. */
  exchange(asks: readonly Ask[]): Promise<readonly Grant[]>;
}

/** `nowMs`: one time for all who share it. */
export function memorySource(nowMs: () => number): BucketSource {
  const buckets = new Map<string, Bucket>();
  return {
    async exchange(asks) {
      const atMs = nowMs();
      return asks.map(({ key, rate, want }) => {
        const { bucket, drawn } = draw(buckets.get(key) ?? fullBucket(rate, atMs), rate, { want, atMs });
        buckets.set(key, bucket);
        return { key, granted: drawn, left: bucket.tokens };
      });
    },
  };
}
