/**
 * Time as a dependency. Every room takes a `Clock` instead of asking the machine, so that tests wind it by hand
 * and the simulator runs years in seconds. The only file that may call `Date.now` or `setTimeout` for a deadline.
 */

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number;

export interface Clock {
  /** Wall time in milliseconds since the Unix epoch; may step. */
  now(): EpochMs;
  /** Milliseconds from an arbitrary origin; never steps back. For measuring durations. */
  monotonic(): number;
  /** Runs `action` once after `delayMs` milliseconds; the returned function cancels it (safe to call twice). */
  after(delayMs: number, action: () => void): () => void;
}

/** Longest delay that `setTimeout` takes (2^31 - 1 ms, 24.8 days); a longer one fires at once, so it is re-armed. */
const LONGEST_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, action) {
    const due = performance.now() + delayMs;
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const rest = Math.max(0, due - performance.now());
      timer = setTimeout(() => (rest > LONGEST_TIMER_MS ? arm() : action()), Math.min(rest, LONGEST_TIMER_MS));
    };
    arm();
    return () => clearTimeout(timer);
  },
};

/** A clock that moves only when told to; timers due by the new time run in order of their deadlines. */
export interface HandWoundClock extends Clock {
  advance(byMs: number): void;
}

export function handWoundClock(startMs: EpochMs = 0): HandWoundClock {
  let now = startMs;
  let serial = 0;
  const timers = new Map<number, { due: number; action: () => void }>();
  return {
    now: () => now,
    monotonic: () => now - startMs,
    after(delayMs, action) {
      const id = ++serial;
      timers.set(id, { due: now + Math.max(0, delayMs), action });
      return () => void timers.delete(id);
    },
    advance(byMs) {
      const end = now + byMs;
      for (;;) {
        const next = [...timers].filter(([, t]) => t.due <= end).sort((a, b) => a[1].due - b[1].due || a[0] - b[0])[0];
        if (next === undefined) break;
        timers.delete(next[0]);
        now = Math.max(now, next[1].due);
        next[1].action();
      }
      now = end;
    },
  };
}

/** ISO 8601 in UTC with milliseconds, as every time in our API is written. */
export function isoTime(at: EpochMs): string {
  return new Date(at).toISOString();
}
