/** Waiting on a clock: a pause, and a condition that is looked at until it holds. Owns no state. */
import type { Clock } from '../clock.ts';

/** Resolves after `delayMs` milliseconds of `clock`. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.after(delayMs, resolve));
}

export interface Patience {
  readonly clock: Clock;
  /** Milliseconds after which the wait is given up. */
  readonly timeoutMs: number;
  /** Milliseconds between two looks; 20 unless told. */
  readonly everyMs?: number;
}

/** Looks until `probe` gives a value; `undefined` when the time is over. The last look is made after the time is over. */
export async function until<T>(
  patience: Patience,
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T | undefined> {
  const { clock, timeoutMs, everyMs = 20 } = patience;
  const end = clock.monotonic() + timeoutMs;
  for (;;) {
    const late = clock.monotonic() >= end;
    const found = await probe();
    if (found !== undefined || late) return found;
    await pause(clock, everyMs);
  }
}
