/** The far end of a terminal: a WebSocket of its own, dialled outwards as the link is, to the replica that asked for the terminal. */
import { TERMINAL_DIAL_BACK } from '../../api/contract/sockets.ts';
import type { Clock } from '../../clock.ts';
import { SlurmFailure } from '../contract/index.ts';
import { openSocket } from './open-socket.ts';
import type { TerminalSocket } from './open-terminal.ts';

export interface DialBackDeps {
  readonly cluster: string;
  readonly clock: Clock;
}

/** SlurmFailure `unavailable` where the replica cannot be reached, or no longer knows the ticket. */
export async function dialBack(
  { cluster, clock }: DialBackDeps,
  { url, ticket }: { readonly url: string; readonly ticket: string },
): Promise<TerminalSocket> {
  const path = TERMINAL_DIAL_BACK.replace('{id}', encodeURIComponent(cluster));
  const socket = await openSocket({ url, path, ticket }, clock).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SlurmFailure({ kind: 'unavailable', message: `the agent could not dial back: ${why}` }, { cause });
  });
  return {
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    send(frame) {
      if (socket.readyState === WebSocket.OPEN) socket.send(frame);
    },
    close: (reason) => socket.close(1000, reason),
    onFrame: (listener) =>
      socket.addEventListener('message', ({ data }) =>
        listener(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer)),
      ),
    onClose: (listener) => socket.addEventListener('close', () => listener()),
  };
}
