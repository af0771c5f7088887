/**
 * A consumer that listens (today's LCLStreamer pulls on a bound socket): the relay connects out to it, again and again,
 * with a growing delay. A refused handshake counts as a failed try.
 * State: the delay, the timer or the connection under way.
 */
import type { Clock } from '../../../clock.ts';
import { connectSocket } from '../../sockets/adopt-socket.ts';
import type { Connection, ConnectionOptions } from './serve-connection.ts';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;

export interface OutwardOptions {
  /** `tcp://host:port`, IPv6 in brackets. */
  readonly endpoint: string;
  readonly clock: Clock;
  readonly connections: Set<Connection>;
  readonly serve: (how: Pick<ConnectionOptions, 'openSocket' | 'remoteAddress' | 'onClosed'>) => Connection;
}

export function connectOut(options: OutwardOptions): { stop(): void } {
  const to = readEndpoint(options.endpoint);
  let delayMs = FIRST_DELAY_MS;
  let stopTimer: (() => void) | undefined;
  let stopped = false;

  const connect = (): void => {
    options.serve({
      remoteAddress: to.host,
      openSocket: (reader) => connectSocket(to, reader),
      onClosed(connection, established) {
        options.connections.delete(connection);
        if (stopped) return;
        if (established) delayMs = FIRST_DELAY_MS;
        stopTimer = options.clock.after(delayMs, connect);
        delayMs = Math.min(LONGEST_DELAY_MS, delayMs * 2);
      },
    });
  };
  connect();
  return {
    stop() {
      stopped = true;
      stopTimer?.();
    },
  };
}

/** Throws a RangeError for anything that is not `tcp://host:port`. */
export function readEndpoint(endpoint: string): { readonly host: string; readonly port: number } {
  const match = /^tcp:\/\/(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})$/.exec(endpoint);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > 65_535)
    throw new RangeError(`not a tcp://host:port endpoint: ${endpoint}`);
  return { host, port };
}
