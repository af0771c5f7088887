/**
 * Look-ups in the database that strangers can cause: a few at a time, the rest in a bounded queue, and one for all who ask the same thing at the same time. So bearers
 * that nobody knows cost neither all connections nor memory without end. State: what is under way, and who waits.
 */
import { Problem } from '../problems.ts';

export interface LookUps<T> {
  /** Whoever asks for a key that is being looked up gets that answer. Rejects with `unavailable` where too many wait already. */
  run(key: string, look: () => Promise<T>): Promise<T>;
}

export interface LookUpBounds {
  /** At once: a quarter of the pool's connections. */
  readonly running: number;
  readonly waiting: number;
}

export function openLookUps<T>(
  { running: most, waiting: longest }: LookUpBounds = { running: 4, waiting: 256 },
): LookUps<T> {
  const underWay = new Map<string, Promise<T>>();
  const waiting: (() => void)[] = [];
  let running = 0;

  const enter = (): Promise<void> | undefined => {
    if (running < most) {
      running += 1;
      return undefined;
    }
    if (waiting.length >= longest)
      throw new Problem('unavailable', 'Too many bearers that this replica does not remember are being looked up.', {
        retryAfterSeconds: 1,
      });
    return new Promise((resolve) => void waiting.push(resolve));
  };
  /** Who waits longest takes over the place. */
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  };
  const take = async (look: () => Promise<T>): Promise<T> => {
    await enter();
    try {
      return await look();
    } finally {
      leave();
    }
  };
  return {
    run(key, look) {
      const known = underWay.get(key);
      if (known !== undefined) return known;
      const taken = take(look).finally(() => underWay.delete(key));
      underWay.set(key, taken);
      return taken;
    },
  };
}
