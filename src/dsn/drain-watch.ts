/** When a draining stream behind a broker counts as drained: no producer is there, and nothing was in it for so long. What a broker says of its queues is behind what happens. Pure but for the clock. */
import type { Lease, ObservedStream } from '../api/contract/node-link.ts';
import type { Clock } from '../clock.ts';

/** RabbitMQ's management API is up to 5 s behind (measured, 3.10.8); our own look at a Redis 0.25 s. */
const SETTLED_MS: Readonly<Record<Lease['engine'], number>> = { relay: 0, redis: 1000, rabbitmq: 8000 };

export type DrainWatch = (lease: Lease | undefined, seen: ObservedStream) => ObservedStream;

/** A relay says by itself that it is drained: it knows what its consumers have. */
export function drainWatch(clock: Pick<Clock, 'monotonic'>): DrainWatch {
  const emptySince = new Map<string, number>();
  return (lease, seen) => {
    const { producers, buffered } = seen.counters;
    const isEmpty = seen.state === 'ready' && producers === 0 && buffered === 0;
    if (lease?.draining !== true || lease.engine === 'relay' || !isEmpty) {
      emptySince.delete(seen.stream);
      return seen;
    }
    const since = emptySince.get(seen.stream) ?? clock.monotonic();
    emptySince.set(seen.stream, since);
    return clock.monotonic() - since >= SETTLED_MS[lease.engine] ? { ...seen, drained: true } : seen;
  };
}
