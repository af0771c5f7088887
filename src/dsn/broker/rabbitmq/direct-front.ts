/**
 * A stream that clients reach without us between: RabbitMQ ends TLS and asks the node whom to let in. Who is not wanted any more is closed there, by name and with the reason; what is
 * connected is read from its management API, which is some seconds behind. Owns one timer.
 */
import type { ObservedStream } from '../../../api/contract/node-link.ts';
import type { Clock } from '../../../clock.ts';
import type { Front } from './front.ts';
import type { HostConnection, Management } from './management.ts';

export interface DirectFrontOptions {
  readonly stream: string;
  readonly external: string;
  readonly compute: string;
  readonly port: number;
  readonly clock: Clock;
  /** Undefined while RabbitMQ is away. */
  readonly management: () => Management | undefined;
  /** Of a user name; undefined: nobody's any more. */
  readonly roleOf: (username: string) => 'producer' | 'consumer' | undefined;
  /** Who was let in so far, and from where. */
  readonly admitted: Map<string, ReadonlySet<string>>;
  readonly isUnwanted: (username: string, address: string) => { readonly reason: string } | undefined;
  readonly onEvent: (kind: 'connected' | 'disconnected', detail: Readonly<Record<string, unknown>>) => void;
}

const LOOK_MS = 500;
const AGAIN_MS = 10_000;

export function directFront(options: DirectFrontOptions): Front {
  const { stream, clock, port } = options;
  let seen: ReadonlyMap<string, HostConnection> = new Map();
  const roles = new Map<string, 'producer' | 'consumer'>();
  /** Users whose connections were ended, and until when they are ended again: a log-in may have been on its way. */
  const ended = new Map<string, number>();
  let closed = false;
  let stopTimer = (): void => undefined;

  const detailOf = (name: string, { username, address }: HostConnection) => ({
    ...{ connectionId: name, role: roles.get(name), credentialId: username, remoteAddress: address },
  });
  const roleSeen = (username: string) => {
    for (const [name, connection] of seen) if (connection.username === username) return roles.get(name);
    return undefined;
  };
  const unwantedOf = (username: string, addresses: Iterable<string>) => {
    for (const address of addresses) {
      const unwanted = options.isUnwanted(username, address);
      if (unwanted !== undefined) return unwanted;
    }
    return undefined;
  };
  /** By name: whoever was let in a moment ago is not in the lists yet. */
  const closeUnwanted = async (management: Management): Promise<void> => {
    for (const [username, addresses] of options.admitted) {
      const unwanted = unwantedOf(username, addresses);
      if (unwanted === undefined) continue;
      await management.closeUser(username, unwanted.reason);
      const until = ended.get(username);
      if (until === undefined) {
        ended.set(username, clock.monotonic() + AGAIN_MS);
        const role = options.roleOf(username) ?? roleSeen(username);
        options.onEvent('disconnected', { credentialId: username, role, reason: `cut: ${unwanted.reason}` });
      } else if (until < clock.monotonic()) {
        options.admitted.delete(username);
        ended.delete(username);
      }
    }
  };
  const look = async (): Promise<void> => {
    const management = options.management();
    if (management === undefined) return;
    await closeUnwanted(management);
    const now = await management.connectionsOf(stream);
    // Let in by an earlier run of the agent: they can be ended from now on too.
    for (const { username, address } of now.values())
      if (!options.admitted.has(username)) options.admitted.set(username, new Set([address]));
    for (const [name, connection] of now) {
      if (seen.has(name)) continue;
      roles.set(name, options.roleOf(connection.username) ?? 'consumer');
      options.onEvent('connected', detailOf(name, connection));
    }
    for (const [name, connection] of seen) {
      if (now.has(name)) continue;
      const reason = 'closed by the client or the broker';
      const detail = { ...detailOf(name, connection), reason, bytes: connection.bytes };
      // Of who was cut it has been said.
      if (!ended.has(connection.username)) options.onEvent('disconnected', detail);
      roles.delete(name);
    }
    seen = now;
  };
  let looking: Promise<void> = Promise.resolve();
  const lookSoon = (ms: number): void => {
    stopTimer();
    if (closed) return;
    stopTimer = clock.after(ms, () => {
      looking = looking
        .then(look)
        .catch(() => undefined)
        .then(() => lookSoon(LOOK_MS));
    });
  };
  lookSoon(0);

  return {
    port,
    // A connection shows in the management API a moment after it was let in, so looking goes on by itself; what is revoked is asked for at once.
    cut: () => lookSoon(0),
    // Those are unwanted by `isUnwanted`.
    cutProducers: () => lookSoon(0),
    observe({ buffered, bufferedBytes, published, delivered, redelivered }, lost) {
      const count = (role: string): number => [...seen.keys()].filter((name) => roles.get(name) === role).length;
      const endpoint = (address: string): string =>
        `amqps://${address.includes(':') ? `[${address}]` : address}:${port}/${stream}`;
      const all = [...seen];
      return {
        stream,
        state: lost === '' ? 'ready' : 'failed',
        reason: lost,
        endpoints: { producer: endpoint(options.external), consumer: endpoint(options.compute) },
        counters: {
          ...{ messagesIn: published, messagesOut: delivered, redelivered, dropped: 0, refused: 0 },
          ...{ buffered, bufferedBytes },
          bytesIn: all.reduce((sum, [, c]) => sum + c.received, 0),
          bytesOut: all.reduce((sum, [, c]) => sum + c.sent, 0),
          ...{ producers: count('producer'), consumers: count('consumer') },
        },
        connections: all.map(([name, c]): ObservedStream['connections'][number] => ({
          ...{ id: name, role: roles.get(name) ?? 'consumer', credential: c.username, remoteAddress: c.address },
          ...{ messages: 0, bytes: c.bytes, connectedAtMs: c.connectedAtMs },
        })),
      };
    },
    async close(reason) {
      closed = true;
      stopTimer();
      await looking;
      const management = options.management();
      for (const username of options.admitted.keys())
        await management?.closeUser(username, reason).catch(() => undefined);
    },
  };
}
