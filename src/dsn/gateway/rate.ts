/** A stream's bound on what all its clients together put in: a token bucket (RFC 2697's committed rate and burst) that says how long to stop reading. Pure but for the clock. */
import type { Clock } from '../../clock.ts';

export interface Rate {
  /** So many octets were read; how many milliseconds nothing more is to be read by who read them. 0: go on. */
  spend(octets: number): number;
}

/** What may come at once after a pause, as a part of a second. */
const BURST_SECONDS = 0.25;

/** `bytesPerSecond` is asked each time, as a lease may change; 0: no bound. */
export function streamRate(clock: Pick<Clock, 'monotonic'>, bytesPerSecond: () => number): Rate {
  let level = Number.POSITIVE_INFINITY;
  let at = clock.monotonic();
  return {
    spend(octets) {
      const rate = bytesPerSecond();
      if (rate === 0) {
        level = Number.POSITIVE_INFINITY;
        return 0;
      }
      const now = clock.monotonic();
      level = Math.min(level + ((now - at) * rate) / 1000, rate * BURST_SECONDS) - octets;
      at = now;
      return level >= 0 ? 0 : (-level * 1000) / rate;
    },
  };
}
