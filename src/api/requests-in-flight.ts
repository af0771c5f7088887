/**
 * The requests that this replica has begun and not yet answered, so that draining can wait for them and for nothing else: Node's own
 * `close()` also waits, without bound, for connections on which no request ever comes whole.
 */
import type { Clock } from '../clock.ts';

export interface RequestsInFlight {
  /** Its headers are there; the body may still be on its way. */
  begin(request: object): void;
  /** It is whole: from now on it is answered. */
  received(request: object): void;
  end(request: object): void;
  /** Resolves when all are answered; those not whole within `sendingMs` or not answered within `answeringMs` are given up. */
  drained(bounds: { readonly sendingMs: number; readonly answeringMs: number }): Promise<void>;
}

export function requestsInFlight(clock: Clock): RequestsInFlight {
  const sending = new Set<object>();
  const answering = new Set<object>();
  const watchers = new Set<() => void>();
  const moved = (): void => {
    for (const watch of watchers) watch();
  };
  const until = (settled: () => boolean, withinMs: number): Promise<void> => {
    if (settled()) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = (): void => {
        cancel();
        watchers.delete(look);
        resolve();
      };
      const look = (): void => {
        if (settled()) finish();
      };
      const cancel = clock.after(withinMs, finish);
      watchers.add(look);
    });
  };
  return {
    begin: (request) => void sending.add(request),
    received(request) {
      if (sending.delete(request)) answering.add(request);
      moved();
    },
    end(request) {
      sending.delete(request);
      answering.delete(request);
      moved();
    },
    async drained({ sendingMs, answeringMs }) {
      await until(() => sending.size === 0, sendingMs);
      await until(() => answering.size === 0, answeringMs);
    },
  };
}
