/** Opens a WebSocket to a replica of the control plane with a one-time ticket, which stands in a subprotocol and so in no URL. Used for the link and for terminals. */
import { SOCKET_PROTOCOL, TICKET_PROTOCOL } from '../../api/contract/sockets.ts';
import type { Clock } from '../../clock.ts';

/** For the ticket, and again for the socket. */
export const OPEN_MS = 10_000;

export interface SocketAddress {
  /** Of the replica. */
  readonly url: string;
  readonly path: string;
  readonly ticket: string;
}

/** Throws Error with what went wrong; the ticket is not in it. */
export async function openSocket({ url, path, ticket }: SocketAddress, clock: Clock): Promise<WebSocket> {
  const target = new URL(path, url);
  if (target.origin !== new URL(url).origin) throw new Error('the control plane sent us elsewhere with its ticket');
  target.protocol = target.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(target, [SOCKET_PROTOCOL, `${TICKET_PROTOCOL}${ticket}`]);
  socket.binaryType = 'arraybuffer';
  await new Promise<void>((resolve, reject) => {
    const give = clock.after(OPEN_MS, () => {
      socket.close();
      reject(new Error('the WebSocket did not open in time'));
    });
    socket.addEventListener('open', () => {
      give();
      resolve();
    });
    socket.addEventListener('close', ({ code, reason }) => {
      give();
      reject(new Error(`the WebSocket did not open: ${code} ${reason}`));
    });
    socket.addEventListener('error', () => undefined);
  });
  return socket;
}
