/**
 * One client's connection through the gateway: its handshake is taken here, its credential swapped for the broker's, which it never sees; from then on octets pass both ways without
 * being copied, and are walked. State: the stage it is in. Every way out goes through the client's `close`, which gives slabs and both sockets back.
 */
import type net from 'node:net';
import type { Clock } from '../../clock.ts';
import type { QuotaMeter } from '../quota.ts';
import { connectSocket, type InPlaceReader, type MeasuredSocket } from '../sockets/adopt-socket.ts';
import type { SlabPool } from '../sockets/slab.ts';
import { type Splice, splice } from '../sockets/splice.ts';
import type { DownWalk, Grant, Judgement, Protocol, Step, Upstream, UpWalk } from './protocol.ts';

export interface SessionOptions {
  readonly clock: Clock;
  readonly pool: SlabPool;
  readonly protocol: Protocol;
  readonly handshakeTimeoutMs: number;
  readonly openSocket: (reader: InPlaceReader) => net.Socket;
  /** Of what was read from the client: how long nothing more is to be read. */
  readonly spend: (octets: number, messages: number) => number;
  /** At most so many octets are read at once. */
  readonly readMost: () => number;
  readonly quota: QuotaMeter;
  /** The stream is paused: its producers are not read. */
  readonly isHeld: () => boolean;
  /** A producer met the quota, or used the last of it. */
  readonly onQuota: () => void;
  readonly judge: (remoteAddress: string, username: string, password: string) => Judgement;
  readonly upstream: (grant: Grant) => Upstream;
  /** Called once the broker has taken it. */
  readonly onKnown: (session: Session) => void;
  /** Called once the client's socket is gone. */
  readonly onClosed: (session: Session, reason: string) => void;
}

export interface Session {
  readonly remoteAddress: string;
  /** Undefined until the broker has taken it. */
  grant(): Grant | undefined;
  /** From the moment it was let in, the broker still being asked: what is revoked meanwhile must find it. */
  judged(): Grant | undefined;
  connectedAtMs(): number;
  /** Put in by this client. */
  messages(): number;
  /** Of those, without asking for a confirm; 0 where the protocol has no such thing. */
  unconfirmed(): number;
  /** Given to this client, of those how many once more, and refusals told to it; 0 where the protocol's answers are not walked. */
  delivered(): { readonly messages: number; readonly redelivered: number; readonly nacks: number };
  bytesIn(): number;
  bytesOut(): number;
  /** The stream was paused or resumed. */
  rehold(): void;
  /** Nothing of the client's passes from now on; it is told why where its protocol has words for that, within 0.5 s. */
  close(reason: string): void;
  /** Ends it now, without a word. */
  drop(reason: string): void;
}

/** For what is read before a client is known, and for the broker's answers until it has taken it. */
const SMALL_READ_BYTES = 4096;
const LAST_WORD_MS = 500;
const BROKER_MS = 5000;
/** What a producer put in before the quota was met is answered within this time, then it is told. */
const LAST_ANSWERS_MS = 250;
const NONE = { messages: 0, redelivered: 0, nacks: 0 } as const;

export function openSession(options: SessionOptions): Session {
  const { clock, pool } = options;
  const conversation = options.protocol.begin(
    (name, password) => options.judge(remoteAddress, name, password),
    options.upstream,
  );
  const { handshake } = conversation;
  const small = Buffer.allocUnsafeSlow(SMALL_READ_BYTES);
  let grant: Grant | undefined;
  let judged: Grant | undefined;
  let connectedAtMs = 0;
  let reason = 'closed by the client';
  /** It has been told why it goes, or is being told: nothing more is taken from it. */
  let refused = false;
  let up: Splice | undefined;
  let down: Splice | undefined;
  let upWalk: UpWalk | undefined;
  let downWalk: DownWalk | undefined;
  let parting: Uint8Array | string | undefined;
  let broker: MeasuredSocket | undefined;
  let stopTimer = (): void => undefined;
  /** More came than the stream's rate allows: not read until its time has come, though the broker would take it. */
  let slowed = false;
  let paidMessages = 0;
  let stopWait = (): void => undefined;
  let stopBeat = (): void => undefined;
  let stopLast: (() => void) | undefined;

  const reader: InPlaceReader = {
    region: () => up?.region().subarray(0, options.readMost()) ?? small,
    filled(count) {
      if (up !== undefined) {
        const goOn = up.filled(count);
        // Those that came before the broker had taken it too.
        const messages = upWalk?.messages() ?? 0;
        const waitMs = options.spend(count, messages - paidMessages);
        paidMessages = messages;
        if (waitMs < 1) return goOn;
        stopWait();
        slowed = true;
        stopWait = clock.after(waitMs, () => {
          slowed = false;
          if (!isStill()) client.resume();
        });
        return false;
      }
      if (refused) return false;
      return take(handshake.fromClient(Buffer.from(small.subarray(0, count))));
    },
  };
  const isHeld = (): boolean => grant?.role === 'producer' && options.isHeld();
  const missing = (): number => upWalk?.missing() ?? 0;
  /** Paused, and at a place where it may be. */
  const isStill = (): boolean => isHeld() && missing() === 0;
  /** Its own go unread, and it must not be taken for dead by its broker; what the broker says reaches it as ever. */
  const beat = (): void => {
    stopBeat();
    const heartbeat = conversation.heartbeat?.();
    if (heartbeat === undefined || !isHeld() || client.destroyed || refused) return;
    if (missing() === 0) broker?.write(heartbeat.octets);
    stopBeat = clock.after(heartbeat.everyMs, beat);
  };
  const rehold = (): void => {
    if (up === undefined || grant === undefined || refused || client.destroyed) return;
    if (isHeld()) {
      up.stop();
      if (isStill()) client.pause();
      beat();
      return;
    }
    stopBeat();
    up.go();
    if (!slowed) client.resume();
  };
  const client = options.openSocket(reader);
  const remoteAddress = client.remoteAddress ?? 'unknown';

  const destroy = (why: string): void => {
    if (!client.destroyed && !refused) reason = why;
    client.destroy();
    broker?.destroy();
  };
  /** Says it and closes; the reason is kept for the record. */
  const refuse = (why: string, say: Uint8Array | string): void => {
    refused = true;
    reason = why;
    stopTimer();
    stopTimer = clock.after(LAST_WORD_MS, () => client.destroy());
    if (say.length === 0) client.destroy();
    else client.end(say);
    broker?.destroy();
  };
  const close = (why: string): void => {
    if (refused || client.destroyed) return;
    const { farewell } = conversation;
    if (grant === undefined || farewell === undefined) destroy(why);
    else part(why, farewell(why));
  };
  /** Says it between two frames of the broker's, if there are frames: the end of the one that is under way is waited for, no longer than a last word may take. */
  const part = (why: string, last: Uint8Array | string): void => {
    if (downWalk === undefined || downWalk.atBoundary()) {
      refuse(why, last);
      return;
    }
    refused = true;
    reason = why;
    parting = last;
    stopTimer();
    stopTimer = clock.after(LAST_WORD_MS, () => client.destroy());
  };
  /** Whether the client is to be read on. */
  const take = (step: Step): boolean => {
    const { next } = step;
    if (next.kind === 'refused') {
      refuse(next.reason, step.toClient ?? '');
      return true;
    }
    if (next.kind === 'join') joinBroker(next.grant, next.login);
    if (step.toBroker !== undefined && step.toBroker.length > 0) broker?.write(step.toBroker);
    if (step.hold === true) hold();
    if (next.kind === 'joined') {
      joined(step.toClient, next);
      return true;
    }
    if (step.toClient !== undefined && step.toClient.length > 0) client.write(step.toClient);
    return step.hold !== true;
  };
  /** Now, as the region after this one is asked for at once; what fills it waits until the broker has taken us. */
  const hold = (): void => {
    if (up !== undefined || broker === undefined) return;
    const resume = (): void => void (slowed || isStill() || client.resume());
    up = splice({ pool, target: broker, resume, inspect: inspectUp, missing });
  };
  const inspectUp = (octets: Uint8Array): number => {
    if (refused) return 0;
    if (upWalk === undefined) return octets.length;
    if (grant?.role !== 'producer') return judgeWalk(upWalk.walk(octets, Number.POSITIVE_INFINITY), octets.length);
    if (stopLast !== undefined) return 0;
    const room = options.quota.room();
    const those = octets.length > room.bytes ? octets.subarray(0, room.bytes) : octets;
    const before = upWalk.messages();
    const passed = judgeWalk(upWalk.walk(those, room.messages), those.length);
    options.quota.add(passed, upWalk.messages() - before);
    if (refused) return 0;
    if (passed < octets.length) outOfQuota();
    if (options.quota.reached() !== '') options.onQuota();
    return passed;
  };
  const judgeWalk = (found: ReturnType<UpWalk['walk']>, all: number): number => {
    if (found === undefined) return all;
    if ('before' in found) return found.before;
    part(found.reason, found.say);
    return 0;
  };
  /** Nothing more is taken from it; what was, may be answered first. */
  const outOfQuota = (): void => {
    stopLast ??= clock.after(LAST_ANSWERS_MS, () => {
      const why = options.quota.reached() || 'a quota of the stream was used up';
      if (!refused && !client.destroyed) part(why, conversation.quotaReached(why));
    });
  };
  const inspectDown = (octets: Uint8Array): number => {
    if (downWalk === undefined) return octets.length;
    if (parting === undefined) {
      if (refused) return 0;
      downWalk.walk(octets);
      return octets.length;
    }
    const end = downWalk.walkToEnd(octets);
    return end ?? octets.length;
  };
  const joined = (
    say: Uint8Array | string | undefined,
    rest: { readonly up: Uint8Array; readonly down: Uint8Array },
  ): void => {
    stopTimer();
    grant = judged;
    connectedAtMs = clock.now();
    const from = broker;
    if (from === undefined || client.destroyed) {
      destroy('the client went away');
      return;
    }
    hold();
    if (say !== undefined && say.length > 0) client.write(say);
    upWalk = conversation.up();
    downWalk = conversation.down?.();
    down = splice({ pool, target: client, resume: () => from.resume(), inspect: inspectDown });
    down.begin(rest.down);
    options.onKnown(session);
    if (client.destroyed) return;
    if (isHeld()) up?.stop();
    up?.begin(rest.up);
    rehold();
  };
  const joinBroker = (asked: Grant, login: Upstream): void => {
    judged = asked;
    const answer = Buffer.allocUnsafeSlow(SMALL_READ_BYTES);
    broker = connectSocket(login.at, {
      region: () => down?.region() ?? answer,
      filled(count) {
        if (down === undefined) {
          if (!refused) take(handshake.fromBroker(Buffer.from(answer.subarray(0, count))));
          return true;
        }
        const goOn = down.filled(count);
        if (parting !== undefined && downWalk?.atBoundary() === true) {
          client.end(parting);
          broker?.destroy();
        }
        return goOn;
      },
    });
    broker.on('connect', () => void take(handshake.brokerUp()));
    broker.on('error', () => undefined);
    broker.on('end', () => broker?.destroy());
    broker.on('close', () => {
      if (client.destroyed || refused) return;
      if (grant !== undefined) destroy('the broker ended the connection');
      else refuse('the broker is away', handshake.brokerAway());
    });
    stopTimer();
    stopTimer = clock.after(BROKER_MS, () => destroy(`not open after ${BROKER_MS} ms`));
  };

  const session: Session = {
    remoteAddress,
    grant: () => grant,
    judged: () => judged,
    connectedAtMs: () => connectedAtMs,
    messages: () => upWalk?.messages() ?? 0,
    unconfirmed: () => upWalk?.unconfirmed?.() ?? 0,
    delivered: () => downWalk?.counts() ?? NONE,
    bytesIn: () => up?.bytes() ?? 0,
    bytesOut: () => down?.bytes() ?? 0,
    rehold,
    close,
    drop: destroy,
  };
  stopTimer = clock.after(options.handshakeTimeoutMs, () => destroy(`no AUTH in ${options.handshakeTimeoutMs} ms`));
  client.on('error', (error: NodeJS.ErrnoException) => {
    if (refused) return;
    reason = error.code ?? error.message;
    // Most often a client that was not told to use TLS, or does not know our authority.
    if (reason.startsWith('ERR_SSL')) reason = `no TLS 1.3 with it: ${reason}`;
  });
  client.on('end', () => client.destroy());
  client.on('close', () => {
    stopTimer();
    stopWait();
    stopLast?.();
    stopBeat();
    broker?.destroy();
    up?.end();
    down?.end();
    options.onClosed(session, reason);
  });
  return session;
}
