/**
 * The end of a stream without loss: producers that have something under way are read out, then consumers must take it all.
 * A producer counts as read out when it was between two messages and silent for `QUIET_MS`; it is then closed. A PULL consumer
 * has everything when it closes after we said that nothing more comes: before, octets may still be on their way, and a plain
 * close could reset them.
 * State: when which producer was last heard.
 */
import type { Clock } from '../../../clock.ts';
import type { Hub } from './hub.ts';
import type { Connection } from './serve-connection.ts';

const LOOK_MS = 10;
const QUIET_MS = 100;

export interface DrainOptions {
  readonly hub: Hub;
  readonly connections: ReadonlySet<Connection>;
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly closed: () => boolean;
  /** Everything is delivered; no consumer may come any more. */
  readonly onDelivered: () => void;
}

export function waitUntilDrained(options: DrainOptions): Promise<boolean> {
  const { hub, connections, clock, deadlineMs, closed } = options;
  let delivered = false;
  const end = clock.monotonic() + deadlineMs;
  const heard = new Map<number, { messages: number; at: number }>();

  const closeQuietProducers = (now: number): void => {
    for (const connection of connections) {
      const producer = connection.producer();
      if (producer === undefined || producer.waiting()) continue;
      const last = heard.get(connection.id);
      const messages = producer.messages();
      if (last === undefined || last.messages !== messages || !producer.atBoundary()) {
        heard.set(connection.id, { messages, at: now });
      } else if (now - last.at >= QUIET_MS) {
        connection.close('drained');
      }
    }
  };

  const isDelivered = (): boolean => {
    if (hub.backlog.held().messages > 0) return false;
    return [...connections].every(
      (connection) => connection.producer() === undefined && (connection.consumer()?.idle() ?? true),
    );
  };

  const isDrained = (): boolean => {
    if (!delivered && isDelivered()) {
      delivered = true;
      options.onDelivered();
      for (const connection of connections) if (connection.consumer() !== undefined) connection.finish('drained');
    }
    return delivered && [...connections].every((connection) => connection.consumer() === undefined);
  };

  return new Promise((resolve) => {
    const look = (): void => {
      const now = clock.monotonic();
      closeQuietProducers(now);
      const drained = isDrained();
      if (drained || closed() || now >= end) resolve(drained && !closed());
      else clock.after(LOOK_MS, look);
    };
    look();
  });
}
