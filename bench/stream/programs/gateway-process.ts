/**
 * In the middle between clients and their broker, in a process of its own: our application gateway, or a plain relay of ours that knows no protocol.
 * Each JSON line on stdin orders one, `{"port":n}` on stdout says where it is: several share the process, as in a node. Ends when stdin closes.
 */
import type net from 'node:net';
import { createInterface } from 'node:readline';
import { createSecureContext } from 'node:tls';
import { systemClock } from '../../../src/clock.ts';
import { amqpProtocol } from '../../../src/dsn/gateway/amqp-protocol.ts';
import { openGateway } from '../../../src/dsn/gateway/open-gateway.ts';
import { respProtocol } from '../../../src/dsn/gateway/resp-protocol.ts';
import {
  adoptSocket,
  canReadInPlace,
  connectSocket,
  type MeasuredSocket,
} from '../../../src/dsn/sockets/adopt-socket.ts';
import { listen } from '../../../src/dsn/sockets/listen.ts';
import { openSlabPool } from '../../../src/dsn/sockets/slab.ts';
import { splice } from '../../../src/dsn/sockets/splice.ts';

export interface GatewayOrders {
  readonly kind: 'gateway' | 'plain';
  readonly engine: 'redis' | 'amqp';
  /** A port of the loopback, or a Unix socket. */
  readonly target: number | string;
  readonly password: string;
  /** What all clients together may put in; absent: no bound. */
  readonly bytesPerSecond?: number;
  /** PEM; TLS 1.3 is spoken where it is given. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

const at = { hosts: ['127.0.0.1'], port: 0 };
const any = { from: 0, to: 0 };
const NOTHING = new Uint8Array();

const reach = (target: number | string) =>
  typeof target === 'number' ? ({ host: '127.0.0.1', port: target } as const) : ({ path: target } as const);

const MOST = 16 * 1024 * 1024;
/** An empty table: the load asks nothing of it. */
const NO_PROPERTIES = Buffer.alloc(0);

async function gateway(orders: GatewayOrders): Promise<number> {
  const { engine, target, password, bytesPerSecond = 0 } = orders;
  const context = orders.tls && createSecureContext({ ...orders.tls, minVersion: 'TLSv1.3' });
  const opened = await openGateway({
    ...at,
    portRange: any,
    clock: systemClock,
    handshakeTimeoutMs: 10_000,
    maxConnections: 64,
    protocol:
      engine === 'redis'
        ? respProtocol({ maxMessageBytes: MOST })
        : amqpProtocol({ vhost: 'beamway', serverProperties: () => NO_PROPERTIES, maxMessageBytes: MOST }),
    judge: (_address, username, given) =>
      given === password
        ? { ok: true, grant: { role: username === 'consumer' ? 'consumer' : 'producer', credentialId: username } }
        : { ok: false, reason: 'unknown credential' },
    upstream: ({ role }) => ({ at: reach(target), username: engine === 'redis' ? role : 'beamway', password }),
    onEvent: () => undefined,
    bytesPerSecond: () => bytesPerSecond,
    tls: context && (() => context),
  });
  return opened.port;
}

/** The same sockets, slabs and splices, and nothing looked at. */
async function plain({ target }: GatewayOrders): Promise<number> {
  const inPlace = await canReadInPlace();
  const pool = openSlabPool();
  const accept = (accepted: net.Socket): void => {
    const ends: { client?: MeasuredSocket; broker?: MeasuredSocket } = {};
    const down = splice({
      pool,
      target: proxy(() => ends.client),
      resume: () => void ends.broker?.resume(),
    });
    ends.broker = connectSocket(reach(target), down);
    const up = splice({ pool, target: ends.broker, resume: () => void ends.client?.resume() });
    ends.client = adoptSocket(accepted, up, inPlace);
    down.begin(NOTHING);
    up.begin(NOTHING);
    for (const [one, other] of [
      [ends.client, ends.broker],
      [ends.broker, ends.client],
    ] as const) {
      one.on('error', () => undefined);
      one.on('close', () => other.destroy());
    }
  };
  return (await listen({ ...at, range: any, onConnection: accept })).port;
}

/** A socket that is not there yet. */
function proxy(socket: () => MeasuredSocket | undefined) {
  return {
    get writableLength() {
      return socket()?.writableLength ?? 0;
    },
    get destroyed() {
      return socket()?.destroyed ?? false;
    },
    write: (octets: Uint8Array, written: () => void) => socket()?.write(octets, written) ?? false,
    once: (event: 'drain', listener: () => void) => socket()?.once(event, listener),
  };
}

for await (const line of createInterface(process.stdin)) {
  const orders = JSON.parse(line) as GatewayOrders;
  const port = await (orders.kind === 'gateway' ? gateway(orders) : plain(orders));
  process.stdout.write(`${JSON.stringify({ port })}\n`);
}
process.exit(0);
