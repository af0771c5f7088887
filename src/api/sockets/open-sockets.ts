/**
 * WebSockets of this replica: each is opened by a ticket (tickets.ts) at the ticket's own path, and whatever else asks for one is answered with a problem. Owns the open
 * sockets; draining says goodbye to them. What travels on a socket is the business of the ticket's grant.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../../clock.ts';
import { asProblem, Problem } from '../../problems.ts';
import { OPERATIONS } from '../contract/index.ts';
import { SOCKET_PROTOCOL, TERMINAL_DIAL_BACK, TICKET_PROTOCOL } from '../contract/sockets.ts';
import type { RequestLimits } from '../limits.ts';
import { endWithProblem } from '../raw-problem.ts';
import { CLOSE, closeSocket, keepOpen } from './keep-open.ts';
import type { SocketGrant, Tickets } from './tickets.ts';

export interface OpenSocketsDeps {
  readonly tickets: Tickets;
  readonly limits: Pick<RequestLimits, 'address'>;
  readonly clock: Clock;
  readonly log: { warn(fields: object, text: string): void };
  /** Paths of the contract at which sockets are opened, with `{param}`. */
  readonly paths: readonly string[];
  /** Sockets open at once; fewer for tests. */
  readonly most?: number;
}

export interface OpenSockets {
  /** Handles what `wantsSocket` let through. Never throws; every socket it is given is taken or ended. */
  upgrade(request: IncomingMessage, socket: Duplex, with_: { readonly head: Buffer; readonly address: string }): void;
  count(): number;
  /** Refuses new ones, says goodbye (1001) to the open ones, and resolves when they are gone, a second later at the latest. */
  drain(): Promise<void>;
}

/** A socket is opened where its ticket was asked for; an agent's end of a terminal at a path of its own. */
export const SOCKET_PATHS: readonly string[] = [
  OPERATIONS['cluster.link'].path,
  OPERATIONS['job.terminal'].path,
  TERMINAL_DIAL_BACK,
];

const MOST_SOCKETS = 2000;

/** Only these leave HTTP. What asks for another protocol (h2c of Java's and curl's clients) is answered as if it had not: RFC 9110 section 7.8 lets us. */
export function wantsSocket(request: Pick<IncomingMessage, 'method' | 'headers'>): boolean {
  return request.method === 'GET' && request.headers.upgrade?.trim().toLowerCase() === 'websocket';
}

export function openSockets(deps: OpenSocketsDeps): OpenSockets {
  const { tickets, clock, most = MOST_SOCKETS } = deps;
  const patterns = deps.paths.map((path) => new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`));
  const servers = new Map<number, WebSocketServer>();
  const open = new Set<WebSocket>();
  let draining = false;

  const serverFor = ({ maxFrameBytes }: SocketGrant): WebSocketServer => {
    let server = servers.get(maxFrameBytes);
    if (server === undefined) {
      server = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: false,
        maxPayload: maxFrameBytes,
        handleProtocols: (offered) => (offered.has(SOCKET_PROTOCOL) ? SOCKET_PROTOCOL : false),
      });
      server.on('wsClientError', (error, socket) =>
        endWithProblem(socket, new Problem('malformed-request', error.message)),
      );
      servers.set(maxFrameBytes, server);
    }
    return server;
  };
  const grantOf = (request: IncomingMessage, address: string): SocketGrant => {
    if (draining) throw new Problem('draining', 'This replica is shutting down.', { retryAfterSeconds: 1 });
    deps.limits.address(address);
    const [path = ''] = (request.url ?? '').split('?');
    if (!patterns.some((p) => p.test(path))) throw new Problem('no-such-route', `No WebSocket is opened at ${path}.`);
    const text = ticketIn(request.headers['sec-websocket-protocol']);
    if (text === undefined) throw new Problem('ticket-refused', 'A WebSocket here is opened with a ticket.');
    if (open.size >= most)
      throw new Problem('too-many-in-flight', `This replica has ${most} sockets open.`, { retryAfterSeconds: 5 });
    const grant = tickets.take(text);
    if (grant === undefined || grant.path !== path)
      throw new Problem('ticket-refused', 'The ticket is unknown here, used, expired, or of another path.');
    if (!grant.allowsOrigin(request.headers.origin))
      throw new Problem('refused', 'No web page may open this socket.', {
        rules: [{ rule: 'socket-origin', detail: `leave out the Origin header; it is ${request.headers.origin}` }],
      });
    return grant;
  };
  const take = (socket: WebSocket, grant: SocketGrant): void => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    // What is wrong with a frame is told by ws to the other end; ours learns of the close.
    socket.on('error', (cause) =>
      deps.log.warn({ purpose: grant.purpose, holder: grant.holder, err: cause }, 'a socket failed'),
    );
    keepOpen(socket, grant, deps);
    grant.open(socket);
  };

  return {
    upgrade(request, socket, { head, address }) {
      socket.on('error', () => socket.destroy());
      try {
        const grant = grantOf(request, address);
        serverFor(grant).handleUpgrade(request, socket, head, (opened) => take(opened, grant));
      } catch (thrown) {
        endWithProblem(socket, asProblem(thrown));
      }
    },
    count: () => open.size,
    async drain() {
      draining = true;
      const gone = [...open].map(
        (socket) => new Promise<void>((resolve) => void socket.once('close', () => resolve())),
      );
      for (const socket of open)
        closeSocket(socket, clock, { code: CLOSE.goingAway, reason: 'this replica is shutting down' });
      await Promise.all(gone);
    },
  };
}

function ticketIn(protocols: string | undefined): string | undefined {
  const offered = (protocols ?? '').split(',').map((p) => p.trim());
  return offered.find((p) => p.startsWith(TICKET_PROTOCOL))?.slice(TICKET_PROTOCOL.length);
}
