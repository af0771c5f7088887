/** The counters of a relay as its callers see them. Owns no state. */
import type { Hub } from './hub.ts';
import type { RelayCounters } from './options.ts';
import type { Connection } from './serve-connection.ts';

export function countRelay(hub: Hub, connections: Iterable<Connection>): RelayCounters {
  const listed = [...connections]
    .map((connection) => connection.counters())
    .filter((counters) => counters !== undefined);
  return {
    streamId: hub.options.streamId,
    ...hub.tally,
    buffered: hub.backlog.held(),
    unacknowledged: [...hub.outlets].reduce((sum, outlet) => sum + outlet.unacknowledged(), 0),
    producers: listed.filter(({ role }) => role === 'producer').length,
    consumers: listed.filter(({ role }) => role === 'consumer').length,
    producersWaiting: [...hub.inlets].filter((inlet) => inlet.waiting()).length,
    memoryBytes: hub.pool.memoryBytes(),
    connections: listed,
  };
}
