/**
 * The sending side: one write at a time to one consumer, straight from the slabs; acknowledgements when delivery is
 * 'redeliver'. Messages of the write under way are held until the kernel has taken every octet of it.
 * State: the write under way and the messages the consumer has not acknowledged.
 */

import type { MeasuredSocket } from '../../sockets/adopt-socket.ts';
import { encodeFrame, FLAG_MORE, type SmallFrame } from '../../zmtp/index.ts';
import type { DeliveryLimit, Hub, Outlet } from './hub.ts';
import { gather, holdPieces, releasePieces, type StoredMessage } from './message.ts';

/** Default window of a redeliver consumer. */
const WINDOW: DeliveryLimit = { messages: 64, bytes: 8 * 1024 * 1024 };
/** Delivery tag: sequence (8 octets) and attempt (4 octets), big-endian. */
export const TAG_BYTES = 12;
export const TAG_SEQUENCE_BYTES = 8;

interface Write {
  readonly messages: readonly StoredMessage[];
  readonly bytes: number;
}

export interface ConsumerEnd {
  readonly requeued: number;
  readonly lostInSocket: number;
}

export interface ConsumerWriter extends Outlet {
  /** A message frame from the consumer; a reason when it may not send it. */
  onFrame(frame: SmallFrame): string | undefined;
  messages(): number;
  bytes(): number;
  /** Nothing under way and nothing unacknowledged. */
  idle(): boolean;
  /** The socket is closed: decides what goes back into the backlog. */
  end(): ConsumerEnd;
}

export function writeConsumer(hub: Hub, socket: MeasuredSocket): ConsumerWriter {
  const { pool, backlog, tally, options } = hub;
  const acknowledges = options.delivery === 'redeliver';
  const window = options.window ?? WINDOW;
  const unacknowledged = new Map<number, StoredMessage>();
  let unacknowledgedBytes = 0;
  let current: Write | undefined;
  let continued = false;
  let ended = false;
  let messages = 0;
  let bytes = 0;

  const onWritten = (write: Write): void => {
    if (current !== write || ended) return;
    current = undefined;
    for (const message of write.messages) {
      messages += 1;
      bytes += message.bytes;
      tally.bytesOut += message.bytes;
      if (acknowledges) releasePieces(pool, message.pieces);
      else backlog.finish(message);
    }
    tally.messagesOut += write.messages.length;
  };

  const tagged = (batch: readonly StoredMessage[]): Buffer[] =>
    batch.flatMap((message) => [tagFrame(message), ...gather([message])]);

  const deliver = (batch: readonly StoredMessage[]): void => {
    for (const message of batch) {
      if (message.attempts > 0) tally.redelivered += 1;
      message.attempts += 1;
      if (!acknowledges) continue;
      unacknowledged.set(message.sequence, message);
      unacknowledgedBytes += message.bytes;
      holdPieces(pool, message.pieces);
    }
    const slices = acknowledges ? tagged(batch) : gather(batch);
    const write: Write = { messages: batch, bytes: slices.reduce((sum, slice) => sum + slice.length, 0) };
    current = write;
    const last = slices.length - 1;
    socket.cork();
    slices.forEach((slice, at) => {
      if (at < last) socket.write(slice);
      else socket.write(slice, (error) => error == null && completed(write));
    });
    socket.uncork();
    // The kernel took all of it at once: no need to wait for the callback.
    if (socket.writableLength === 0 && socket.errored === null && !socket.destroyed) onWritten(write);
  };

  const completed = (write: Write): void => {
    if (current !== write) return;
    onWritten(write);
    hub.pump();
    hub.wake();
  };

  const acknowledge = (sequence: number): void => {
    const message = unacknowledged.get(sequence);
    if (message === undefined) {
      tally.unknownAcknowledgements += 1;
      return;
    }
    unacknowledged.delete(sequence);
    unacknowledgedBytes -= message.bytes;
    tally.acknowledged += 1;
    backlog.finish(message);
  };

  return {
    room() {
      if (current !== undefined || socket.destroyed || socket.writableEnded) return undefined;
      if (!acknowledges) return { messages: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
      const left = window.bytes - unacknowledgedBytes;
      if (unacknowledged.size >= window.messages || (left <= 0 && unacknowledged.size > 0)) return undefined;
      return { messages: window.messages - unacknowledged.size, bytes: left };
    },
    deliver,
    unacknowledged: () => unacknowledged.size,
    onFrame({ body, more }) {
      if (!acknowledges) return 'a PULL consumer sent a message';
      if (more || continued) {
        // Not an acknowledgement, which is one frame; the parts of it are skipped as a whole.
        if (!more) tally.unknownAcknowledgements += 1;
        continued = more;
        return undefined;
      }
      if (body.length < TAG_SEQUENCE_BYTES) tally.unknownAcknowledgements += 1;
      else acknowledge(body.readUInt32BE(0) * 4_294_967_296 + body.readUInt32BE(4));
      return undefined;
    },
    messages: () => messages,
    bytes: () => bytes,
    idle: () => current === undefined && unacknowledged.size === 0,
    end() {
      ended = true;
      const write = current;
      current = undefined;
      if (acknowledges) {
        if (write !== undefined) for (const message of write.messages) releasePieces(pool, message.pieces);
        const back = [...unacknowledged.values()];
        unacknowledged.clear();
        backlog.giveBack(back);
        return { requeued: back.length, lostInSocket: 0 };
      }
      return write === undefined ? { requeued: 0, lostInSocket: 0 } : splitUnsent(write);
    },
  };

  /** At-most-once: a message the kernel did not take to its last octet was surely not seen; all others may have been. */
  function splitUnsent(write: Write): ConsumerEnd {
    const taken = write.bytes - Math.min(write.bytes, Math.max(0, socket.unsentAtEnd));
    const back: StoredMessage[] = [];
    let at = 0;
    for (const message of write.messages) {
      at += message.bytes;
      if (at <= taken) {
        backlog.finish(message);
        continue;
      }
      message.attempts -= 1;
      back.push(message);
    }
    backlog.giveBack(back);
    const lostInSocket = write.messages.length - back.length;
    tally.lostInSocket += lostInSocket;
    return { requeued: back.length, lostInSocket };
  }
}

function tagFrame(message: StoredMessage): Buffer {
  const tag = Buffer.allocUnsafe(TAG_BYTES);
  tag.writeUInt32BE(Math.floor(message.sequence / 4_294_967_296), 0);
  tag.writeUInt32BE(message.sequence % 4_294_967_296, 4);
  tag.writeUInt32BE(message.attempts, 8);
  return encodeFrame(FLAG_MORE, tag);
}
