/**
 * Requests of this replica that wait for something to change: an agent for its node's version, a caller for a stream's state. Waking is
 * a hint, never the truth: whoever wakes reads again, and nobody waits longer than it said.
 */
import type { Clock } from '../clock.ts';

export interface NodeWaiters {
  /** Resolves when `key` is woken, when `forMs` have passed, or when `signal` aborts; never rejects. */
  wait(key: string, forMs: number, signal: AbortSignal): Promise<void>;
  wake(key: string): void;
}

export function nodeWaiters(clock: Clock): NodeWaiters {
  const waiting = new Map<string, Set<() => void>>();
  return {
    wait(key, forMs, signal) {
      if (signal.aborted || forMs <= 0) return Promise.resolve();
      return new Promise((resolve) => {
        const those = waiting.get(key) ?? new Set();
        waiting.set(key, those);
        const done = (): void => {
          cancel();
          signal.removeEventListener('abort', done);
          those.delete(done);
          if (those.size === 0) waiting.delete(key);
          resolve();
        };
        const cancel = clock.after(forMs, done);
        signal.addEventListener('abort', done, { once: true });
        those.add(done);
      });
    },
    wake(key) {
      for (const done of [...(waiting.get(key) ?? [])]) done();
    },
  };
}
