/**
 * One-time tickets for WebSockets: whoever passed the pipeline with a bearer gets 256 random bits, which open one socket within 30 s at this replica. A ticket holds what it
 * is for as a grant, so that whoever accepts sockets knows no purpose. Owns the tickets, by digest, in memory only.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { WebSocket } from 'ws';
import type { Clock, EpochMs } from '../../clock.ts';

/** What a ticket opens, and what holds while the socket is open. */
export interface SocketGrant {
  /** For the log, such as `agent-link`. */
  readonly purpose: string;
  /** Whose it is, for the log and for the bound on tickets. */
  readonly holder: string;
  /** The only path at which it opens a socket. */
  readonly path: string;
  /** May a page of this origin open it? Undefined: no browser sent it. */
  readonly allowsOrigin: (origin: string | undefined) => boolean;
  readonly maxFrameBytes: number;
  /** Asked every second while the socket is open; a rejection closes it, and so does no answer within a second. */
  readonly check: () => Promise<unknown>;
  /** Takes the open socket. Pings, checks and draining are not its business. */
  readonly open: (socket: WebSocket) => void;
}

export interface Ticket {
  /** Base 64, URL-safe, 43 characters. */
  readonly text: string;
  readonly expiresAtMs: EpochMs;
}

export interface Tickets {
  issue(grant: SocketGrant): Ticket;
  /** Uses it up; undefined where there is none such, or no more. */
  take(text: string): SocketGrant | undefined;
}

const TICKET_MS = 30_000;
const TICKET_BYTES = 32;
/** Of one holder; the oldest goes. */
const MOST_OF_HOLDER = 16;

interface Issued {
  readonly digest: Buffer;
  readonly grant: SocketGrant;
  readonly expiresAtMs: number;
}

export function openTickets(clock: Clock): Tickets {
  // In the order issued, which is that of expiry.
  const issued = new Map<string, Issued>();
  const sweep = (): void => {
    for (const [id, { expiresAtMs }] of issued) {
      if (expiresAtMs > clock.monotonic()) return;
      issued.delete(id);
    }
  };
  return {
    issue(grant) {
      sweep();
      const own = [...issued].filter(([, i]) => i.grant.holder === grant.holder);
      for (const [id] of own.slice(0, Math.max(0, own.length - MOST_OF_HOLDER + 1))) issued.delete(id);
      const text = randomBytes(TICKET_BYTES).toString('base64url');
      const digest = digestOf(text);
      issued.set(digest.toString('hex'), { digest, grant, expiresAtMs: clock.monotonic() + TICKET_MS });
      return { text, expiresAtMs: clock.now() + TICKET_MS };
    },
    take(text) {
      sweep();
      const digest = digestOf(text);
      const found = issued.get(digest.toString('hex'));
      if (found === undefined || !timingSafeEqual(found.digest, digest)) return undefined;
      issued.delete(digest.toString('hex'));
      return found.grant;
    },
  };
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
