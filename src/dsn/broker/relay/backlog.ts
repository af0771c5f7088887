/**
 * What the relay holds: one queue per producer, one queue of messages to be delivered again, and the count of bytes.
 * Decides whose turn it is (by bytes, round robin over producers), which producer must wait, and what is dropped.
 * Owns the accounting: a message counts from its arrival until it is delivered (or acknowledged), dropped or forgotten.
 */

import type { SlabPool } from '../../sockets/slab.ts';
import { createQueue, type Piece, releasePieces, type Source, type StoredMessage } from './message.ts';

export interface BacklogOptions {
  readonly pool: SlabPool;
  readonly overflow: 'wait' | 'drop-oldest';
  readonly bufferBytes: number;
  /** As it is now, where it may change. */
  readonly bufferNow?: (() => number) | undefined;
  readonly onDropped: (message: StoredMessage) => void;
}

export interface Backlog {
  addSource(): Source;
  /** The producer is gone; its messages stay. */
  endSource(source: Source): void;
  /** Takes over the pieces' holds. Returns the message, or undefined when overflow dropped it at once. */
  store(source: Source, pieces: readonly Piece[]): void;
  /** Up to `messages` messages and `bytes` bytes (one message always) of one source, redeliveries first. */
  take(limit: { readonly messages: number; readonly bytes: number }): StoredMessage[];
  /** Messages to be delivered again, before all others. */
  giveBack(messages: readonly StoredMessage[]): void;
  /** The message is done with: its bytes and its slabs are freed. */
  finish(message: StoredMessage): void;
  /** 'wait' only: whether this producer must not be read beyond its current message. */
  isFull(source: Source): boolean;
  /** Bytes this producer may still add before it is full; unbounded with 'drop-oldest'. */
  space(source: Source): number;
  /** Whether a producer that waited may be read again; well below `isFull`, so that reads stay large. */
  hasRoom(source: Source): boolean;
  /** To be called a few times a second: whether consumers took anything since the last time. */
  onTick(consumersMoved: boolean): void;
  queued(): number;
  held(): { readonly messages: number; readonly bytes: number };
  clear(): void;
}

/** A producer waits at its share and goes on at this part of it. */
const RESUME_AT = 0.75;
/**
 * What is kept of a buffer that has run full while consumers go on taking. A producer faster than the consumers waits whatever we
 * do, and a queue that stands full adds delay and memory that is cold in the cache; the room is for bursts and stalls.
 */
const STANDING_BYTES = 4 * 1024 * 1024;

export function createBacklog(options: BacklogOptions): Backlog {
  const { pool, overflow } = options;
  const bufferBytes = options.bufferNow ?? (() => options.bufferBytes);
  const again = createQueue();
  /** Sources with queued messages or a live producer, in the order of their turns. */
  const sources: Source[] = [];
  let turn = 0;
  let liveSources = 0;
  let sequence = 0;
  let queued = 0;
  let heldMessages = 0;
  let heldBytes = 0;

  const finish = (message: StoredMessage): void => {
    heldMessages -= 1;
    heldBytes -= message.bytes;
    message.source.heldBytes -= message.bytes;
    releasePieces(pool, message.pieces);
  };

  const forgetIfEmpty = (source: Source): void => {
    if (source.live || source.queue.length() > 0) return;
    const at = sources.indexOf(source);
    if (at === -1) return;
    sources.splice(at, 1);
    if (turn > at) turn -= 1;
  };

  /** The oldest message nobody was given yet; redeliveries are never dropped, a consumer may have seen them. */
  const dropOldest = (): boolean => {
    let oldest: Source | undefined;
    for (const source of sources) {
      const head = source.queue.peek();
      if (head !== undefined && head.sequence < (oldest?.queue.peek()?.sequence ?? Number.POSITIVE_INFINITY))
        oldest = source;
    }
    const message = oldest?.queue.shift();
    if (oldest === undefined || message === undefined) return false;
    queued -= 1;
    finish(message);
    forgetIfEmpty(oldest);
    options.onDropped(message);
    return true;
  };

  const nextSource = (): Source | undefined => {
    for (let tried = 0; tried < sources.length; tried += 1) {
      if (turn >= sources.length) turn = 0;
      const source = sources[turn];
      turn += 1;
      if (source !== undefined && source.queue.length() > 0) return source;
    }
    return undefined;
  };

  /** The buffer ran full and producers have been held at `STANDING_BYTES` ever since. */
  let standing = false;
  let heldUp = false;
  const limit = (): number => (standing ? Math.min(bufferBytes(), STANDING_BYTES) : bufferBytes());
  const share = (): number => limit() / Math.max(1, liveSources);

  const space = (source: Source): number =>
    overflow === 'wait' ? Math.min(limit() - heldBytes, share() - source.heldBytes) : Number.POSITIVE_INFINITY;

  return {
    addSource() {
      const source: Source = { queue: createQueue(), heldBytes: 0, live: true };
      sources.push(source);
      liveSources += 1;
      return source;
    },
    endSource(source) {
      if (!source.live) return;
      source.live = false;
      liveSources -= 1;
      forgetIfEmpty(source);
    },
    store(source, pieces) {
      let bytes = 0;
      for (const piece of pieces) bytes += piece.end - piece.start;
      sequence += 1;
      source.queue.push({ sequence, source, bytes, pieces, attempts: 0 });
      source.heldBytes += bytes;
      heldBytes += bytes;
      heldMessages += 1;
      queued += 1;
      if (overflow === 'drop-oldest') while (heldBytes > bufferBytes() && queued > 1 && dropOldest());
    },
    take(limit) {
      const redelivery = again.length() > 0;
      const source = redelivery ? undefined : nextSource();
      const queue = redelivery ? again : source?.queue;
      const taken: StoredMessage[] = [];
      let bytes = 0;
      for (let head = queue?.peek(); head !== undefined; head = queue?.peek()) {
        if (taken.length > 0 && (taken.length >= limit.messages || bytes + head.bytes > limit.bytes)) break;
        queue?.shift();
        bytes += head.bytes;
        taken.push(head);
      }
      queued -= taken.length;
      if (source !== undefined) forgetIfEmpty(source);
      return taken;
    },
    giveBack(messages) {
      if (messages.length === 0) return;
      again.pushFront(messages);
      queued += messages.length;
    },
    finish,
    isFull(source) {
      const full = space(source) <= 0;
      if (full) heldUp = true;
      if (overflow === 'wait' && heldBytes >= bufferBytes()) standing = true;
      return full;
    },
    space,
    hasRoom: (source) => heldBytes < limit() * RESUME_AT && source.heldBytes < share() * RESUME_AT,
    onTick(consumersMoved) {
      if (!consumersMoved || !heldUp) standing = false;
      heldUp = false;
    },
    queued: () => queued,
    held: () => ({ messages: heldMessages, bytes: heldBytes }),
    clear() {
      for (const source of sources) for (const message of source.queue.clear()) finish(message);
      for (const message of again.clear()) finish(message);
      queued = 0;
      sources.length = 0;
    },
  };
}
