/**
 * Opens a relay: listens, admits, counts, cuts, drains, closes. One relay serves one stream.
 * State: the live connections, the listening servers, the connections outwards, three timers.
 */
import type net from 'node:net';
import { systemClock } from '../../../clock.ts';
import { adoptSocket, canReadInPlace } from '../../sockets/adopt-socket.ts';
import { listen } from '../../sockets/listen.ts';
import { roomForMore } from '../../sockets/room-for-more.ts';
import type { PeerVerdict } from '../../zmtp/index.ts';
import { connectOut } from './connect-out.ts';
import { countRelay } from './count-relay.ts';
import { createHub, type Hub } from './hub.ts';
import type { Relay, RelayOptions, RelayRole } from './options.ts';
import { type Connection, type ConnectionOptions, type Grant, serveConnection } from './serve-connection.ts';
import { waitUntilDrained } from './wait-until-drained.ts';

/** A waiting producer that pings hears a PONG this often, so that its heartbeat does not cut the line we are not reading. */
const TICK_MS = 250;
const DROPPED_REPORT_MS = 1000;
/** Free memory that was not needed for this long goes back to the system. */
const TRIM_EVERY_TICKS = 40;

export async function openRelay(options: RelayOptions): Promise<Relay> {
  checkOptions(options);
  const inPlace = options.readInPlace ?? (await canReadInPlace());
  const clock = options.clock ?? systemClock;
  const connections = new Set<Connection>();
  let nextId = 1;
  let draining = false;
  let delivered = false;
  let closing: Promise<void> | undefined;
  let unreported = { messages: 0, bytes: 0 };
  let stopReport: (() => void) | undefined;

  const reportDropped = (): void => {
    stopReport = undefined;
    if (unreported.messages > 0) hub.emit({ kind: 'dropped', ...unreported });
    unreported = { messages: 0, bytes: 0 };
  };
  const hub: Hub = createHub(options, (message) => {
    hub.tally.dropped += 1;
    hub.tally.droppedBytes += message.bytes;
    unreported = { messages: unreported.messages + 1, bytes: unreported.bytes + message.bytes };
    stopReport ??= clock.after(DROPPED_REPORT_MS, reportDropped);
  });

  const judge =
    (portRole: RelayRole | undefined): ConnectionOptions['judge'] =>
    (remoteAddress, username, password): PeerVerdict<Grant> => {
      const attempt = { username, password, remoteAddress, ...(portRole === undefined ? {} : { portRole }) };
      const answer = options.admit(attempt);
      if (!answer.ok) return { ok: false, reason: answer.reason, ...(answer.later === true ? {} : { code: '400' }) };
      const { role, credentialId } = answer;
      if (portRole !== undefined && role !== portRole) return { ok: false, reason: `not a ${portRole}`, code: '400' };
      if (delivered || (draining && role === 'producer'))
        return { ok: false, reason: 'the stream is ending', code: '400' };
      return { ok: true, grant: { role, credentialId }, terms: termsOf(role, options.delivery) };
    };

  const serve = (
    how: Pick<ConnectionOptions, 'openSocket' | 'remoteAddress' | 'onClosed'>,
    portRole: RelayRole | undefined,
  ) => {
    const mechanism = options.admission === 'address' ? 'NULL' : 'PLAIN';
    const connection = serveConnection({ ...how, hub, id: nextId++, mechanism, judge: judge(portRole) });
    connections.add(connection);
    return connection;
  };

  /** Those that came to us: where the relay connects out itself, nobody makes room. */
  const inbound = new Set<Connection>();
  const room = roomForMore<Connection>({
    most: options.maxConnections,
    peers: () => connections,
    isKnown: (peer) => peer.grant() !== undefined || !inbound.has(peer),
    drop: (peer, reason) => peer.close(reason),
  });
  const accept = (portRole: RelayRole | undefined) => (accepted: net.Socket) => {
    if (closing !== undefined || !room.make()) {
      hub.tally.refused += 1;
      const reason = `more than ${options.maxConnections} connections`;
      hub.emit({ kind: 'refused', remoteAddress: accepted.remoteAddress ?? 'unknown', reason });
      accepted.destroy();
      return;
    }
    const openSocket: ConnectionOptions['openSocket'] = (reader) => adoptSocket(accepted, reader, inPlace);
    const onClosed: ConnectionOptions['onClosed'] = (connection) => {
      connections.delete(connection);
      inbound.delete(connection);
      room.gone(connection);
    };
    inbound.add(serve({ openSocket, onClosed }, portRole));
  };

  const servers: net.Server[] = [];
  const ownPorts = options.admission === 'address';
  const outwards: { stop(): void }[] = [];
  let stopTick: (() => void) | undefined;
  let ticks = 0;
  let takenBefore = 0;
  const tick = (): void => {
    ticks += 1;
    const taken = hub.tally.messagesOut + hub.tally.acknowledged;
    hub.backlog.onTick(taken !== takenBefore);
    takenBefore = taken;
    hub.wake();
    if (ticks % TRIM_EVERY_TICKS === 0) hub.pool.trim();
    for (const inlet of hub.inlets) if (inlet.waiting()) inlet.sayAlive();
    stopTick = clock.after(TICK_MS, tick);
  };

  const closeAll = async (reason: string): Promise<void> => {
    stopTick?.();
    stopReport?.();
    reportDropped();
    for (const outward of outwards) outward.stop();
    const closed = servers.map((server) => new Promise((done) => server.close(done)));
    const gone = whenEmpty(connections);
    for (const connection of connections) connection.close(reason);
    await Promise.all([...closed, gone]);
    hub.backlog.clear();
    hub.pool.close();
  };

  try {
    const range = options.portRange ?? { from: 0, to: 0 };
    const consumerHost = options.consumerHost ?? options.host;
    const open = async (hosts: readonly string[], port: number, role: RelayRole | undefined): Promise<number> => {
      const listening = await listen({ hosts, port, range, onConnection: accept(role) });
      servers.push(...listening.servers);
      return listening.port;
    };
    const hosts = ownPorts ? [options.host] : [options.host, consumerHost];
    const port = await open(hosts, options.port, ownPorts ? 'producer' : undefined);
    const wantsSecond = ownPorts && (options.consumerPort !== undefined || options.consumerListens.length === 0);
    const secondPort = wantsSecond ? await open([consumerHost], options.consumerPort ?? 0, 'consumer') : undefined;
    for (const endpoint of options.consumerListens) {
      outwards.push(connectOut({ endpoint, clock, serve: (how) => serve(how, 'consumer'), connections }));
    }
    tick();
    return {
      endpoints: { port, ...(secondPort === undefined ? {} : { consumerPort: secondPort }) },
      counters: () => countRelay(hub, connections),
      cut(credentialId, reason) {
        const live = [...connections].filter((connection) => connection.grant()?.credentialId === credentialId);
        for (const connection of live) connection.close(`cut: ${reason}`);
        return live.length;
      },
      rehold() {
        if (options.isHeld?.() === true) for (const inlet of hub.inlets) inlet.hold();
        else hub.wake();
      },
      cutWhere(unwanted, reason) {
        const live = [...connections].filter((connection) => {
          const counted = connection.counters();
          return counted !== undefined && unwanted(counted);
        });
        for (const connection of live) connection.close(`cut: ${reason}`);
        return live.length;
      },
      drain(deadlineMs) {
        draining = true;
        return waitUntilDrained({
          hub,
          connections,
          clock,
          deadlineMs,
          closed: () => closing !== undefined,
          onDelivered: () => {
            delivered = true;
          },
        });
      },
      close(reason) {
        closing ??= closeAll(`relay closed: ${reason}`);
        return closing;
      },
    };
  } catch (error) {
    await closeAll('the relay could not be opened');
    throw error;
  }
}

/** Throws for options that contradict each other; the caller's bounds (templates) come before. */
function checkOptions(options: RelayOptions): void {
  const positive = [options.bufferBytes, options.maxMessageBytes, options.maxConnections, options.handshakeTimeoutMs];
  if (positive.some((value) => !Number.isSafeInteger(value) || value <= 0)) {
    throw new RangeError(
      'bufferBytes, maxMessageBytes, maxConnections and handshakeTimeoutMs must be positive integers',
    );
  }
  const addressOnly = options.consumerPort !== undefined || options.consumerListens.length > 0;
  if (options.admission === 'credential' && addressOnly) {
    throw new RangeError("consumerPort and consumerListens need admission 'address'");
  }
}

function termsOf(role: RelayRole, delivery: RelayOptions['delivery']) {
  if (role === 'producer') return { peerSocketType: 'PUSH', ownSocketType: 'PULL' };
  return delivery === 'redeliver'
    ? { peerSocketType: 'DEALER', ownSocketType: 'ROUTER' }
    : { peerSocketType: 'PULL', ownSocketType: 'PUSH' };
}

/** Connections take themselves out of the set when their sockets are closed. */
function whenEmpty(connections: Set<Connection>): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (connections.size === 0) resolve();
      else setImmediate(check);
    };
    check();
  });
}
