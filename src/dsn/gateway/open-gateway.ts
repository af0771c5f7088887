/** The application gateway of one stream: its port on one or two interfaces, its sessions, who is let in and who is cut. Owns sockets, sessions and slabs. */
import type net from 'node:net';
import type { SecureContext } from 'node:tls';
import type { Clock } from '../../clock.ts';
import { adoptSocket, canReadInPlace } from '../sockets/adopt-socket.ts';
import { adoptTls } from '../sockets/adopt-tls.ts';
import { listen } from '../sockets/listen.ts';
import { roomForMore } from '../sockets/room-for-more.ts';
import { openSlabPool } from '../sockets/slab.ts';
import type { Grant, Judgement, Protocol, Upstream } from './protocol.ts';
import { streamRate } from './rate.ts';
import { openSession, type Session } from './session.ts';

export interface GatewayOptions {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
  readonly maxConnections: number;
  readonly protocol: Protocol;
  readonly judge: (remoteAddress: string, username: string, password: string) => Judgement;
  readonly upstream: (grant: Grant) => Upstream;
  readonly onEvent: (kind: 'connected' | 'disconnected' | 'refused', detail: Readonly<Record<string, unknown>>) => void;
  /** Of what all clients together put in, octets a second; 0 or left out: no bound. */
  readonly bytesPerSecond?: () => number;
  /** TLS is spoken where this is given; undefined while the node has no certificate: nobody is let in. */
  readonly tls?: (() => SecureContext | undefined) | undefined;
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
  /** Put in and given out by all that ever connected; the latter 0 where the protocol's answers are not walked. */
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly redelivered: number;
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
  const rate = streamRate(clock, options.bytesPerSecond ?? (() => 0));
  let next = 1;
  const past = { bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0, redelivered: 0 };
  let refused = 0;
  let closing = false;

  const refuse = (remoteAddress: string, reason: string): void => {
    refused += 1;
    options.onEvent('refused', { remoteAddress, reason });
  };
  const room = roomForMore<Session>({
    most: options.maxConnections,
    peers: () => sessions.keys(),
    isKnown: (session) => session.judged() !== undefined,
    drop: (session, reason) => session.drop(reason),
  });
  const accept = (accepted: net.Socket): void => {
    const address = accepted.remoteAddress ?? 'unknown';
    if (closing || !room.make()) {
      refuse(address, `more than ${options.maxConnections} connections`);
      accepted.on('error', () => undefined);
      if (options.tls !== undefined) accepted.destroy();
      else accepted.end(options.protocol.full, () => accepted.destroy());
      return;
    }
    const context = options.tls?.();
    if (options.tls !== undefined && context === undefined) {
      refuse(address, 'the node has no certificate');
      accepted.destroy();
      return;
    }
    const session = openSession({
      ...options,
      pool,
      spend: rate.spend,
      openSocket: (reader) =>
        context === undefined ? adoptSocket(accepted, reader, inPlace) : adoptTls(accepted, reader, context),
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
        room.gone(gone);
        addTo(past, gone);
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
      ...totals(past, sessions.keys()),
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

interface Totals {
  bytesIn: number;
  bytesOut: number;
  messagesIn: number;
  messagesOut: number;
  redelivered: number;
}

function addTo(sum: Totals, session: Session): void {
  const { messages, redelivered } = session.delivered();
  sum.bytesIn += session.bytesIn();
  sum.bytesOut += session.bytesOut();
  sum.messagesIn += session.messages();
  sum.messagesOut += messages;
  sum.redelivered += redelivered;
}

function totals(past: Readonly<Totals>, sessions: Iterable<Session>): Totals {
  const sum = { ...past };
  for (const session of sessions) addTo(sum, session);
  return sum;
}

function viewOf(session: Session, id: number): GatewayConnection | undefined {
  const grant = session.grant();
  if (grant === undefined) return undefined;
  const { remoteAddress } = session;
  const bytes = session.bytesIn() + session.bytesOut();
  // A consumer's are those it was given, where they are counted.
  const messages = session.messages() + session.delivered().messages;
  return { id, ...grant, remoteAddress, messages, bytes, connectedAtMs: session.connectedAtMs() };
}
