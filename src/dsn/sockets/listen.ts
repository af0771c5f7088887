/**
 * Opens listening sockets: one port number on one or two interfaces, a given one, a free one or one of a range.
 * Owns nothing; the caller closes the servers. Accepted sockets are paused and untouched, for `adoptSocket`.
 */
import net from 'node:net';

export interface ListenOptions {
  readonly hosts: readonly string[];
  /** 0 = a free one, within `range` if that is not 0 to 0. */
  readonly port: number;
  readonly range: { readonly from: number; readonly to: number };
  readonly onConnection: (socket: net.Socket) => void;
}

export interface Listening {
  readonly port: number;
  readonly servers: readonly net.Server[];
}

/** How often another free port is tried when the second interface has the first one's port taken. */
const FREE_PORT_TRIES = 20;

/** Rejects with the system's error (EADDRINUSE, EADDRNOTAVAIL, EACCES) when no port could be had. */
export async function listen(options: ListenOptions): Promise<Listening> {
  let last: unknown;
  for (const port of candidates(options)) {
    try {
      return await listenOn(options, port);
    } catch (error) {
      last = error;
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
  throw last;
}

function* candidates({ port, range }: ListenOptions): Generator<number> {
  if (port !== 0) return yield port;
  if (range.from > 0 && range.to >= range.from) {
    for (let candidate = range.from; candidate <= range.to; candidate += 1) yield candidate;
    return;
  }
  for (let tried = 0; tried < FREE_PORT_TRIES; tried += 1) yield 0;
}

async function listenOn(options: ListenOptions, wanted: number): Promise<Listening> {
  const servers: net.Server[] = [];
  let port = wanted;
  try {
    for (const host of new Set(options.hosts)) {
      const server = net.createServer({
        pauseOnConnect: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 30_000,
      });
      servers.push(server);
      server.on('connection', options.onConnection);
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port, backlog: 256 }, () => {
          server.off('error', reject);
          resolve();
        });
      });
      // Errors while accepting (no descriptors left) must not end the process; that peer sees a closed connection.
      server.on('error', () => undefined);
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('no TCP port');
      port = address.port;
    }
    return { port, servers };
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
}
