/** What a node says of a stream behind a gateway: from the gateway's own counts, and from what its engine knows better. Pure. */
import type { ObservedStream } from '../../api/contract/node-link.ts';
import type { Gateway } from '../gateway/open-gateway.ts';
import type { QuotaMeter } from '../quota.ts';

export interface SeenStream {
  readonly stream: string;
  readonly scheme: string;
  readonly external: string;
  readonly compute: string;
  /** Why it cannot be used now; empty: it can. */
  readonly lost: string;
  readonly quota: QuotaMeter;
  readonly counters: Partial<ObservedStream['counters']>;
}

export function observeGateway(gateway: Gateway, seen: SeenStream): ObservedStream {
  const { connections, bytesIn, bytesOut, messagesIn, messagesOut, redelivered, refused } = gateway.counters();
  const count = (role: string): number => connections.filter((c) => c.role === role).length;
  const endpoint = (address: string): string => `${seen.scheme}://${authority(address)}:${gateway.port}`;
  return {
    stream: seen.stream,
    state: seen.lost === '' ? 'ready' : 'failed',
    reason: seen.lost,
    usage: { ...seen.quota.usage(), reached: seen.quota.reached() },
    endpoints: { producer: endpoint(seen.external), consumer: endpoint(seen.compute) },
    counters: {
      ...{ messagesIn, messagesOut, bytesIn, bytesOut, redelivered, refused },
      ...{ dropped: 0, buffered: 0, bufferedBytes: 0, producers: count('producer'), consumers: count('consumer') },
      ...seen.counters,
    },
    connections: connections.map(({ id, role, credentialId, remoteAddress, messages, bytes, connectedAtMs }) => ({
      ...{ id: String(id), role, credential: credentialId, remoteAddress, messages, bytes, connectedAtMs },
    })),
  };
}

export const LEFT_BEHIND = 'left by an earlier run of the agent';

/** Of a stream that is not open: found from an earlier run, or on its way up. */
export function observeClosed(stream: string, state: ObservedStream['state'], reason: string): ObservedStream {
  const counters = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, dropped: 0, redelivered: 0 };
  return {
    ...{ stream, state, reason, endpoints: {}, connections: [] },
    counters: { ...counters, buffered: 0, bufferedBytes: 0, producers: 0, consumers: 0, refused: 0 },
  };
}

const authority = (address: string): string => (address.includes(':') ? `[${address}]` : address);
