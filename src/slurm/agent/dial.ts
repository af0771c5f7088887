/**
 * One link to one replica: asks for a ticket, opens the WebSocket, keeps it, and begins anew when it ends, after 100 ms to 5 s. Notices a replica that went away without a
 * word by its beats. Owns the connection; what is said on it is agent-link.ts's business.
 */
import { linkCluster } from '../../api/contract/clusters.ts';
import type { Clock } from '../../clock.ts';
import { isSafeUrl, SILENT_MS, SUPERSEDED } from '../contract/index.ts';
import { readLinkFile } from './link-file.ts';
import { OPEN_MS, openSocket } from './open-socket.ts';

export interface DialOptions {
  readonly url: string;
  readonly cluster: string;
  readonly linkFile: string;
  readonly clock: Clock;
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
  /** The first frame. */
  readonly news: () => string;
  /** False: that is no frame, and the link is to be closed. */
  readonly hear: (text: string, reply: (text: string) => void) => boolean;
}

export interface Dialler {
  /** Dropped where the link is down. */
  send(text: string): void;
  isUp(): boolean;
  stop(): Promise<void>;
}

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5000;
/** A link that lived so long was a good one: the next dial waits little. */
const GOOD_MS = 10_000;
const GOODBYE_MS = 1000;

export function dialler(options: DialOptions): Dialler {
  const { clock, log, url } = options;
  const about = { cluster: options.cluster, url };
  let stopped = false;
  let waitMs = FIRST_WAIT_MS;
  let up: WebSocket | undefined;
  let cancel = (): void => undefined;
  let said = '';

  const again = (why: string, upForMs: number): void => {
    if (stopped) return;
    if (why.includes(SUPERSEDED)) waitMs = LONGEST_WAIT_MS;
    else if (upForMs >= GOOD_MS) waitMs = FIRST_WAIT_MS;
    // Once for each new reason, not for each dial.
    if (why !== said) log.warn({ ...about, why }, 'the link to the control plane is down; it is dialled again');
    said = why;
    // Jitter, so that agents do not all come back at the same moment.
    cancel = clock.after(waitMs * (0.75 + Math.random() / 2), () => void dial());
    waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
  };
  const dial = async (): Promise<void> => {
    const openedAt = clock.monotonic();
    try {
      const socket = await openLink(options);
      if (stopped) return socket.close(1000);
      said = '';
      up = socket;
      const why = await live(options, socket);
      up = undefined;
      again(why, clock.monotonic() - openedAt);
    } catch (cause) {
      again(reasonOf(cause), 0);
    }
  };
  void dial();

  return {
    send: (text) => sendOn(up, text),
    isUp: () => up !== undefined,
    async stop() {
      stopped = true;
      cancel();
      const socket = up;
      if (socket === undefined || socket.readyState === WebSocket.CLOSED) return;
      await new Promise<void>((resolve) => {
        const give = clock.after(GOODBYE_MS, resolve);
        socket.addEventListener('close', () => {
          give();
          resolve();
        });
        socket.close(1000);
      });
    },
  };
}

function sendOn(socket: WebSocket | undefined, text: string): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(text);
}

/** Asks for a ticket and opens the socket with it. Throws what went wrong; no bearer or ticket is in it. */
async function openLink({ url, cluster, linkFile, clock, log }: DialOptions): Promise<WebSocket> {
  const file = readLinkFile(linkFile, log);
  if (file === undefined) throw new Error('the link file cannot be used');
  if (!file.urls.includes(url)) throw new Error('the link file names this address no more');
  if (!isSafeUrl(url)) throw new Error('refused: neither https nor http on a loopback address');
  const path = linkCluster.path.replace('{id}', encodeURIComponent(cluster));
  const answer = await fetch(new URL(path, url), {
    method: linkCluster.method,
    headers: { authorization: `Bearer ${file.bearer}` },
    // A bearer is shown to whom the link file names, and to nobody that one names.
    redirect: 'error',
    signal: AbortSignal.timeout(OPEN_MS),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${(await answer.text()).slice(0, 300)}`);
  const { url: at, ticket } = linkCluster.response.parse(await answer.json());
  return openSocket({ url, path: at, ticket }, clock);
}

/** Until it ends; resolves to why. */
function live({ clock, log, url, news, hear }: DialOptions, socket: WebSocket): Promise<string> {
  return new Promise((resolve) => {
    let heardAt = clock.monotonic();
    let stopLook = (): void => undefined;
    const end = (why: string): void => {
      stopLook();
      // Not waited for: a replica that is gone says no goodbye.
      if (socket.readyState === WebSocket.OPEN) socket.close(1000);
      resolve(why);
    };
    const look = (): void => {
      const silentMs = clock.monotonic() - heardAt;
      if (silentMs >= SILENT_MS) end(`nothing was heard for ${SILENT_MS / 1000} s`);
      else stopLook = clock.after(SILENT_MS - silentMs, look);
    };
    look();
    socket.addEventListener('close', ({ code, reason }) => end(`closed: ${code} ${reason}`));
    socket.addEventListener('message', ({ data }) => {
      if (socket.readyState !== WebSocket.OPEN) return;
      heardAt = clock.monotonic();
      if (typeof data !== 'string' || !hear(data, (text) => sendOn(socket, text))) end('what came was no frame');
    });
    log.info({ url }, 'linked to the control plane');
    sendOn(socket, news());
  });
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return `${cause.message} ${cause.cause instanceof Error ? cause.cause.message : ''}`.trim();
}
