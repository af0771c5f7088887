/**
 * A whole message as it lies in slabs, and queues of them. Pieces are kept in the order of the stream; a message in one
 * slab (nearly all) has one piece. Each piece holds its slab.
 */
import type { Slab, SlabPool } from '../../sockets/slab.ts';

export interface Piece {
  readonly slab: Slab;
  readonly start: number;
  /** Grows while the producer is still reading this piece. */
  end: number;
}

/** What one producer has in the relay; outlives its connection until the last message is gone. */
export interface Source {
  readonly queue: MessageQueue;
  /** Queued, unsent and unacknowledged bytes. */
  heldBytes: number;
  live: boolean;
}

export interface StoredMessage {
  /** 1, 2, 3... in the order of arrival at the relay; the delivery tag. */
  readonly sequence: number;
  readonly source: Source;
  /** On the wire, frame headers included. */
  readonly bytes: number;
  readonly pieces: readonly Piece[];
  /** How often it was handed to a consumer. */
  attempts: number;
}

export interface MessageQueue {
  push(message: StoredMessage): void;
  shift(): StoredMessage | undefined;
  peek(): StoredMessage | undefined;
  /** Puts messages in front, kept in the order of their sequence. */
  pushFront(messages: readonly StoredMessage[]): void;
  length(): number;
  clear(): readonly StoredMessage[];
}

/** An array with a moving head: shift is O(1) amortised, which Array.shift is not for long queues. */
export function createQueue(): MessageQueue {
  let items: (StoredMessage | undefined)[] = [];
  let head = 0;
  const rest = (): StoredMessage[] => items.slice(head).filter((item) => item !== undefined);
  return {
    push: (message) => void items.push(message),
    shift() {
      const message = items[head];
      if (message === undefined) return undefined;
      items[head] = undefined;
      head += 1;
      if (head === items.length) {
        items.length = 0;
        head = 0;
      } else if (head > 1024 && head * 2 > items.length) {
        items = items.slice(head);
        head = 0;
      }
      return message;
    },
    peek: () => items[head],
    pushFront(messages) {
      items = [...messages, ...rest()].sort((a, b) => a.sequence - b.sequence);
      head = 0;
    },
    length: () => items.length - head,
    clear() {
      const left = rest();
      items = [];
      head = 0;
      return left;
    },
  };
}

export function releasePieces(pool: SlabPool, pieces: readonly Piece[]): void {
  for (const piece of pieces) pool.release(piece.slab);
}

export function holdPieces(pool: SlabPool, pieces: readonly Piece[]): void {
  for (const piece of pieces) pool.hold(piece.slab);
}

/** The octets of consecutive messages with as few slices as possible: neighbours in one slab become one. */
export function gather(messages: readonly StoredMessage[]): Buffer[] {
  const slices: Buffer[] = [];
  let open: { slab: Slab; start: number; end: number } | undefined;
  const cut = (): void => {
    if (open !== undefined) slices.push(open.slab.bytes.subarray(open.start, open.end));
  };
  for (const message of messages) {
    for (const piece of message.pieces) {
      if (open !== undefined && open.slab === piece.slab && open.end === piece.start) {
        open.end = piece.end;
        continue;
      }
      cut();
      open = { slab: piece.slab, start: piece.start, end: piece.end };
    }
  }
  cut();
  return slices;
}
