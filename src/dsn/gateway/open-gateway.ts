/** The application gateway of one stream: its port on one or two interfaces, its sessions, who is let in and who is cut. Owns sockets, sessions and slabs. */
import type net from 'node:net';
import type { SecureContext } from 'node:tls';
import type { Clock } from '../../clock.ts';
import { type QuotaMeter, quotaMeter } from '../quota.ts';
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
  /** Likewise messages. */
  readonly messagesPerSecond?: () => number;
  /** Of what producers put in; left out: no quota. */
  readonly quota?: QuotaMeter;
  /** The stream is paused; `rehold` is called when that changes. */
  readonly isHeld?: () => boolean;
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
  /** Of those put in, without asking for a confirm. */
  readonly unconfirmed: number;
  readonly refused: number;
  /** Slabs in use; 0 where nobody is connected. */
  readonly slabs: number;
  readonly connections: readonly GatewayConnection[];
}

export interface Gateway {
  readonly port: number;
  counters(): GatewayCounters;
  /** The stream was paused or resumed; may be called at any time. */
  rehold(): void;
  /** Closes the connections that `unwanted` names; how many. */
  cut(unwanted: (grant: Grant, remoteAddress: string) => boolean, reason: string): number;
  /** Ends everything and frees the port. */
  close(reason: string): Promise<void>;
}

const TRIM_MS = 1000;
const QUIET_MS = 500;
const LEAST_READ_BYTES = 16 * 1024;

/** Rejects with the system's error where no port could be had. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { clock } = options;
  const inPlace = options.readInPlace ?? (await canReadInPlace());
  const pool = openSlabPool();
  const sessions = new Map<Session, number>();
  const rate = streamRate(clock, options.bytesPerSecond ?? (() => 0));
  const messageRate = streamRate(clock, options.messagesPerSecond ?? (() => 0));
  const quota = options.quota ?? quotaMeter(() => ({ byteQuota: 0, messageQuota: 0 }));
  /** One read's messages are paid for within some 8 s, so that waiting for it outlasts no heartbeat: the smallest take 30 octets. */
  const readMost = (): number => {
    const bound = options.messagesPerSecond?.() ?? 0;
    return bound === 0 ? Number.POSITIVE_INFINITY : Math.max(LEAST_READ_BYTES, bound * 256);
  };
  let reheld = options.isHeld?.() ?? false;
  let stopEnding: (() => void) | undefined;
  /** Those that met the quota are told by themselves; the others once nothing more is under way. */
  const endProducers = (seen: ReadonlyMap<Session, number>): void => {
    stopEnding = clock.after(QUIET_MS, () => {
      stopEnding = undefined;
      const why = quota.reached();
      const left = [...sessions.keys()].filter((s) => s.grant()?.role === 'producer');
      if (why === '' || left.length === 0) return;
      for (const session of left) if (seen.get(session) === session.bytesIn()) session.close(why);
      endProducers(new Map(left.map((s) => [s, s.bytesIn()])));
    });
  };
  let next = 1;
  const past = { bytesIn: 0, bytesOut: 0, messagesIn: 0, messagesOut: 0, redelivered: 0, unconfirmed: 0 };
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
      spend: (octets, messages) => Math.max(rate.spend(octets), messages === 0 ? 0 : messageRate.spend(messages)),
      readMost,
      isHeld: options.isHeld ?? (() => false),
      quota,
      onQuota: () => stopEnding ?? endProducers(new Map()),
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
    rehold() {
      const held = options.isHeld?.() ?? false;
      if (held === reheld) return;
      reheld = held;
      for (const session of sessions.keys()) session.rehold();
    },
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
      stopEnding?.();
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
  unconfirmed: number;
}

function addTo(sum: Totals, session: Session): void {
  const { messages, redelivered } = session.delivered();
  sum.bytesIn += session.bytesIn();
  sum.bytesOut += session.bytesOut();
  sum.messagesIn += session.messages();
  sum.messagesOut += messages;
  sum.redelivered += redelivered;
  sum.unconfirmed += session.unconfirmed();
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
