/**
 * The application gateway of one stream whose broker speaks RESP: its port on one or two interfaces, its sessions, who is let in and who is cut. Owns sockets, sessions and slabs;
 * the broker behind it is on no network.
 */
import type net from 'node:net';
import type { Clock } from '../../clock.ts';
import { failure } from '../resp/index.ts';
import { adoptSocket, canReadInPlace } from '../sockets/adopt-socket.ts';
import { listen } from '../sockets/listen.ts';
import { openSlabPool } from '../sockets/slab.ts';
import type { Judgement } from './resp-handshake.ts';
import { type Grant, respSession, type Session, type Upstream } from './resp-session.ts';

export interface GatewayOptions {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxMessageBytes: number;
  readonly judge: (remoteAddress: string, username: string, password: string) => Judgement<Grant>;
  readonly upstream: (role: Grant['role']) => Upstream;
  readonly onEvent: (kind: 'connected' | 'disconnected' | 'refused', detail: Readonly<Record<string, unknown>>) => void;
  /** False forces the plain reader; for tests. */
  readonly readInPlace?: boolean;
}

export interface GatewayConnection extends Grant {
  readonly id: number;
  readonly remoteAddress: string;
  readonly messages: number;
  readonly bytes: number;
  readonly connectedAtMs: number;
}

export interface GatewayCounters {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly refused: number;
  /** Slabs in use; 0 where nobody is connected. */
  readonly slabs: number;
  readonly connections: readonly GatewayConnection[];
}

export interface Gateway {
  readonly port: number;
  counters(): GatewayCounters;
  /** Closes the connections that `unwanted` names; how many. */
  cut(unwanted: (grant: Grant, remoteAddress: string) => boolean, reason: string): number;
  /** Ends everything and frees the port. */
  close(reason: string): Promise<void>;
}

const TRIM_MS = 1000;

/** Rejects with the system's error where no port could be had. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { clock } = options;
  const inPlace = options.readInPlace ?? (await canReadInPlace());
  const pool = openSlabPool();
  const sessions = new Map<Session, number>();
  let next = 1;
  let [bytesIn, bytesOut, refused] = [0, 0, 0];
  let closing = false;

  const refuse = (remoteAddress: string, reason: string): void => {
    refused += 1;
    options.onEvent('refused', { remoteAddress, reason });
  };
  const accept = (accepted: net.Socket): void => {
    const address = accepted.remoteAddress ?? 'unknown';
    if (closing || sessions.size >= options.maxConnections) {
      refuse(address, `more than ${options.maxConnections} connections`);
      accepted.on('error', () => undefined);
      accepted.end(failure('ERR max number of clients reached'), () => accepted.destroy());
      return;
    }
    const session = respSession({
      ...options,
      pool,
      openSocket: (reader) => adoptSocket(accepted, reader, inPlace),
      onKnown(known) {
        const grant = known.grant();
        options.onEvent('connected', {
          connectionId: sessions.get(known),
          ...grant,
          remoteAddress: known.remoteAddress,
        });
      },
      onClosed(gone, reason) {
        const connectionId = sessions.get(gone);
        sessions.delete(gone);
        bytesIn += gone.bytesIn();
        bytesOut += gone.bytesOut();
        const grant = gone.grant();
        if (grant === undefined) return refuse(gone.remoteAddress, reason);
        const { remoteAddress } = gone;
        const bytes = gone.bytesIn() + gone.bytesOut();
        const detail = { connectionId, ...grant, remoteAddress, reason, messages: gone.messages(), bytes };
        options.onEvent('disconnected', detail);
      },
    });
    sessions.set(session, next++);
  };
  const { port, servers } = await listen({
    hosts: options.hosts,
    port: options.port,
    range: options.portRange,
    onConnection: accept,
  });
  let stopTrim = (): void => undefined;
  const trim = (): void => {
    pool.trim();
    stopTrim = clock.after(TRIM_MS, trim);
  };
  trim();

  return {
    port,
    counters: () => ({
      bytesIn: [...sessions.keys()].reduce((sum, s) => sum + s.bytesIn(), bytesIn),
      bytesOut: [...sessions.keys()].reduce((sum, s) => sum + s.bytesOut(), bytesOut),
      refused,
      slabs: pool.inUse(),
      connections: [...sessions].flatMap(([s, id]) => viewOf(s, id) ?? []),
    }),
    cut(unwanted, reason) {
      const those = [...sessions.keys()].filter((s) => {
        const grant = s.judged();
        return grant !== undefined && unwanted(grant, s.remoteAddress);
      });
      for (const session of those) session.close(`cut: ${reason}`);
      return those.length;
    },
    async close(reason) {
      closing = true;
      stopTrim();
      const closed = servers.map((server) => new Promise((done) => server.close(done)));
      for (const session of [...sessions.keys()]) session.close(reason);
      while (sessions.size > 0) await new Promise((resolve) => setImmediate(resolve));
      await Promise.all(closed);
      pool.close();
    },
  };
}

function viewOf(session: Session, id: number): GatewayConnection | undefined {
  const grant = session.grant();
  if (grant === undefined) return undefined;
  const { remoteAddress } = session;
  const bytes = session.bytesIn() + session.bytesOut();
  return { id, ...grant, remoteAddress, messages: session.messages(), bytes, connectedAtMs: session.connectedAtMs() };
}
