/**
 * The receiving side: octets of one producer into slabs, whole messages into the backlog, and the pause at a message
 * boundary when the backlog is full.
 * State: the slab being filled, how far it is filled and scanned, the pieces of the unfinished message.
 * Invariant: [fill, end of slab) belongs to no message; only that is given out as a region to read into.
 */

import type { InPlaceReader } from '../../sockets/adopt-socket.ts';
import type { Slab } from '../../sockets/slab.ts';
import { type FrameScanner, scanFrames } from '../../zmtp/index.ts';
import type { Hub } from './hub.ts';
import { type Piece, releasePieces, type Source } from './message.ts';

/** Largest command in the traffic of a producer (PING with its context takes 23 octets). */
const MAX_COMMAND_BYTES = 512;
/** A slab whose rest is below this part is left, or reads would become tiny. */
const LEAVE_AT = 1 / 32;
/**
 * Near the end of the buffer reads get smaller, down to this part of the buffer (within bounds): what a read may exceed it by.
 * Much smaller ones would cost a system call for every few kilobytes whenever the buffer hovers near its end.
 */
const leastRead = (bufferBytes: number): number => Math.min(512 * 1024, Math.max(4096, bufferBytes / 16));
/** On average smaller reads than this over a whole large slab: the small slab will do again. */
const QUIET_READ_BYTES = 16 * 1024;

export interface ProducerPort {
  onCommand(body: Buffer): void;
  /** The stream cannot be read on. */
  onViolation(reason: string): void;
}

export interface ProducerReader extends InPlaceReader {
  /** Octets that came with the handshake. */
  start(rest: Buffer): boolean;
  waiting(): boolean;
  /** True when it may be read again; it then no longer waits. */
  goOn(): boolean;
  /** True when it is not to be read, standing between two messages; it then waits. */
  hold(): boolean;
  /** Between two messages with nothing unread. */
  atBoundary(): boolean;
  readonly source: Source;
  messages(): number;
  bytes(): number;
  /** The connection is closed: gives back slab and unfinished message. */
  end(): void;
}

export function readProducer(hub: Hub, port: ProducerPort): ProducerReader {
  const { pool, backlog, tally } = hub;
  const source = backlog.addSource();
  const least = leastRead(hub.options.bufferBytes);
  let slab: Slab = pool.take(false);
  let fill = 0;
  let unread = 0;
  let pieces: Piece[] = [];
  let waits = false;
  let large = false;
  let readsOfSlab = 0;
  let asked = 0;
  let messages = 0;
  let bytes = 0;

  const isHeld = (): boolean => hub.options.isHeld?.() === true;
  const { quota } = hub.options;
  /** Of this producer nothing more is taken once one message was not. */
  let over = '';
  const mayTake = (size: number): boolean => {
    if (quota === undefined) return true;
    const room = quota.room();
    if (over === '' && size <= room.bytes && room.messages > 0) {
      quota.add(size, 1);
      return true;
    }
    quota.exceed(size > room.bytes ? 'bytes' : 'messages');
    over = quota.reached();
    return false;
  };

  const scanner: FrameScanner = scanFrames(
    { maxMessageBytes: hub.options.maxMessageBytes, maxCommandBytes: MAX_COMMAND_BYTES },
    {
      piece(start, end) {
        const last = pieces.at(-1);
        if (last !== undefined && last.slab === slab && last.end === start) {
          last.end = end;
          return;
        }
        pool.hold(slab);
        pieces.push({ slab, start, end });
      },
      message() {
        const whole = pieces;
        pieces = [];
        let size = 0;
        for (const piece of whole) size += piece.end - piece.start;
        if (!mayTake(size)) {
          releasePieces(pool, whole);
          return;
        }
        bytes += size;
        messages += 1;
        tally.messagesIn += 1;
        backlog.store(source, whole);
      },
      command: (body) => port.onCommand(body),
    },
  );

  /** The unfinished header (a few octets) moves in front of the new slab. */
  const changeSlab = (): void => {
    if (large && fill < readsOfSlab * QUIET_READ_BYTES) large = false;
    const next = pool.take(large);
    slab.bytes.copy(next.bytes, 0, unread, fill);
    pool.release(slab);
    slab = next;
    fill -= unread;
    unread = 0;
    readsOfSlab = 0;
  };

  const take = (count: number): boolean => {
    const before = bytes;
    fill += count;
    unread = scanner.scan(slab.bytes, unread, fill);
    tally.bytesIn += bytes - before;
    const violation = scanner.violation();
    if (violation !== undefined) {
      port.onViolation(violation);
      return false;
    }
    hub.pump();
    if (over !== '') {
      port.onViolation(over);
      return false;
    }
    waits = scanner.atBoundary() && (isHeld() || backlog.isFull(source));
    return !waits;
  };

  return {
    source,
    region() {
      if (slab.bytes.length - fill < slab.bytes.length * LEAVE_AT) changeSlab();
      const room = slab.bytes.length - fill;
      const space = isHeld() ? 0 : backlog.space(source);
      const wanted = space <= 0 && !scanner.atBoundary() ? scanner.missing() : Math.max(space, least);
      const upTo = Math.min(room, wanted);
      asked = upTo;
      return slab.bytes.subarray(fill, fill + upTo);
    },
    filled(count) {
      readsOfSlab += 1;
      if (count === asked && count > QUIET_READ_BYTES) large = true;
      return take(count);
    },
    start(rest) {
      rest.copy(slab.bytes, 0);
      return take(rest.length);
    },
    waiting: () => waits,
    goOn() {
      if (waits && !isHeld() && backlog.hasRoom(source)) waits = false;
      return !waits;
    },
    hold() {
      waits = waits || scanner.atBoundary();
      return waits;
    },
    atBoundary: () => scanner.atBoundary() && unread === fill,
    messages: () => messages,
    bytes: () => bytes,
    end() {
      if (!scanner.atBoundary()) tally.truncated += 1;
      releasePieces(pool, pieces);
      pieces = [];
      pool.release(slab);
      backlog.endSource(source);
    },
  };
}
