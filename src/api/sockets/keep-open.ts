/**
 * What watches over one open WebSocket: pings every ten seconds, so that a half-open connection is noticed within 25 s, and the grant's own check every second, so that
 * a revoked bearer keeps no socket beyond two. Timers end with the socket.
 */
import type { WebSocket } from 'ws';
import type { Clock } from '../../clock.ts';
import type { SocketGrant } from './tickets.ts';

const PING_MS = 10_000;
/** Silence is looked at twice a ping; what is this silent then has been so for at most 25 s. */
const LOOK_MS = PING_MS / 2;
const SILENT_MS = 20_000;
const CHECK_MS = 1000;
/** For the other end to say goodbye too. */
const GOODBYE_MS = 1000;

/** RFC 6455 section 7.4.1. */
export const CLOSE = { goingAway: 1001, refused: 1008, ended: 4000 } as const;

/** Says why, and cuts the connection if the other end does not close it within a second. A reason is at most 123 bytes. */
export function closeSocket(
  socket: WebSocket,
  clock: Clock,
  end: { readonly code: number; readonly reason: string },
): void {
  if (socket.readyState === socket.CLOSED) return;
  socket.close(
    end.code,
    Buffer.from(end.reason)
      .subarray(0, 123)
      .toString()
      .replace(/\uFFFD+$/, ''),
  );
  const stop = clock.after(GOODBYE_MS, () => socket.terminate());
  socket.once('close', stop);
}

export interface WatchDeps {
  readonly clock: Clock;
  readonly log: { warn(fields: object, text: string): void };
}

export function keepOpen(socket: WebSocket, grant: SocketGrant, { clock, log }: WatchDeps): void {
  const about = { purpose: grant.purpose, holder: grant.holder };
  let heardAt = clock.monotonic();
  const heard = (): void => {
    heardAt = clock.monotonic();
  };
  for (const event of ['pong', 'ping', 'message'] as const) socket.on(event, heard);

  let stopLook = (): void => undefined;
  let stopCheck = (): void => undefined;
  let looks = 0;
  const look = (): void => {
    if (clock.monotonic() - heardAt >= SILENT_MS) {
      log.warn(about, 'a socket fell silent and is cut');
      socket.terminate();
      return;
    }
    looks += 1;
    if (looks % 2 === 0 && socket.readyState === socket.OPEN) socket.ping();
    stopLook = clock.after(LOOK_MS, look);
  };
  const check = (): void => {
    within(clock, CHECK_MS, grant.check()).then(
      () => {
        if (socket.readyState === socket.OPEN) stopCheck = clock.after(CHECK_MS, check);
      },
      (cause: unknown) => {
        log.warn({ ...about, err: cause }, 'a socket may stay open no longer');
        closeSocket(socket, clock, { code: CLOSE.refused, reason: 'the bearer or what it may do has changed' });
      },
    );
  };
  stopLook = clock.after(LOOK_MS, look);
  stopCheck = clock.after(CHECK_MS, check);
  socket.once('close', () => {
    stopLook();
    stopCheck();
  });
}

function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = clock.after(ms, () => reject(new Error(`no answer within ${ms} ms`)));
    work.then(() => resolve(), reject).finally(stop);
  });
}
