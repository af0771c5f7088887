/** Test fixture: several replicas' leases on one source of buckets and one hand-wound clock, asked in steps of ten milliseconds. */
import { setImmediate as turn } from 'node:timers/promises';
import { type HandWoundClock, handWoundClock } from '../../clock.ts';
import type { BucketSource } from './bucket-source.ts';
import { type Leases, openLeases, type RateLimit } from './lease-permits.ts';

export const STEP_MS = 10;

export interface Replicas {
  readonly clock: HandWoundClock;
  readonly leases: readonly Leases[];
  /** Runs for `ms`; each replica asks for its part of `perSecond` in every step. Gives how many were admitted, by replica. */
  run(load: {
    readonly ms: number;
    readonly perSecond: readonly number[];
    readonly limit: RateLimit;
  }): Promise<number[]>;
}

export function replicasOn(source: (clock: HandWoundClock) => BucketSource, count: number): Replicas {
  const clock = handWoundClock(1_000_000);
  const shared = source(clock);
  const log = { warn: () => undefined };
  // Out of step by a fixed amount, so that a failure can be repeated.
  const leases = Array.from({ length: count }, (_, i) =>
    openLeases({ source: shared, clock, log, shareWhenAway: 0.25, random: () => (i + 0.5) / count }),
  );
  return {
    clock,
    leases,
    async run({ ms, perSecond, limit }) {
      const admitted = leases.map(() => 0);
      const due = leases.map(() => 0);
      for (let atMs = 0; atMs < ms; atMs += STEP_MS) {
        const asked: Promise<void>[] = [];
        for (const [i, lease] of leases.entries()) {
          let owed = (due[i] ?? 0) + ((perSecond[i] ?? 0) * STEP_MS) / 1000;
          for (; owed >= 1; owed -= 1)
            asked.push(
              Promise.resolve(lease.take([limit])).then((verdict) => {
                if (verdict.kind === 'admitted') admitted[i] = (admitted[i] ?? 0) + 1;
              }),
            );
          due[i] = owed;
        }
        await Promise.all(asked);
        await turn(); // renewals in the background are under way
        clock.advance(STEP_MS);
      }
      return admitted;
    },
  };
}

export const total = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
