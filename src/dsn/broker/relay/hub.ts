/**
 * What all connections of one relay share: the slabs, the backlog, the counters, and the two movements that keep frames
 * flowing: `pump` (backlog to consumers) and `wake` (producers that waited).
 * State: the lists of producers and consumers and whose turn it is.
 */

import { openSlabPool, type SlabPool } from '../../sockets/slab.ts';
import { type Backlog, createBacklog } from './backlog.ts';
import type { StoredMessage } from './message.ts';
import type { RelayEvent, RelayOptions } from './options.ts';

/** The counts of a stream so far; `RelayCounters` without the momentary values. */
export interface Tally {
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  dropped: number;
  droppedBytes: number;
  redelivered: number;
  lostInSocket: number;
  truncated: number;
  acknowledged: number;
  unknownAcknowledgements: number;
  refused: number;
}

export interface DeliveryLimit {
  readonly messages: number;
  readonly bytes: number;
}

/** A consumer as the pump sees it. */
export interface Outlet {
  /** How much it takes now; undefined when it has no room. */
  room(): DeliveryLimit | undefined;
  deliver(messages: readonly StoredMessage[]): void;
  unacknowledged(): number;
}

/** A producer as the hub sees it. */
export interface Inlet {
  waiting(): boolean;
  /** Reads on if there is room for it. */
  wake(): void;
  /**
   * Lets a peer with heartbeats hear from us although we do not read. To others nothing may be sent: octets for a peer that
   * has already closed make its kernel reset the connection and throw away what we have not read yet.
   */
  sayAlive(): void;
  /** The stream was paused: stops reading, if it stands between two messages. */
  hold(): void;
}

export interface Hub {
  readonly options: RelayOptions;
  readonly pool: SlabPool;
  readonly backlog: Backlog;
  readonly tally: Tally;
  readonly outlets: Set<Outlet>;
  readonly inlets: Set<Inlet>;
  emit(event: RelayEvent): void;
  pump(): void;
  wake(): void;
}

/** One consumer: large writes. Several: small turns, so that frames spread evenly. */
const ALONE: DeliveryLimit = { messages: 4096, bytes: 4 * 1024 * 1024 };
const SHARED: DeliveryLimit = { messages: 16, bytes: 256 * 1024 };

export function createHub(options: RelayOptions, onDropped: (message: StoredMessage) => void): Hub {
  const pool = openSlabPool(options.bufferBytes);
  const { overflow, bufferBytes, bufferNow } = options;
  const backlog = createBacklog({ pool, overflow, bufferBytes, bufferNow, onDropped });
  const outlets = new Set<Outlet>();
  const inlets = new Set<Inlet>();
  const tally: Tally = {
    messagesIn: 0,
    messagesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    dropped: 0,
    droppedBytes: 0,
    redelivered: 0,
    lostInSocket: 0,
    truncated: 0,
    acknowledged: 0,
    unknownAcknowledgements: 0,
    refused: 0,
  };
  let pumping = false;

  /** One turn of every consumer that has room; true while something moved. */
  const round = (): boolean => {
    let moved = false;
    for (const outlet of [...outlets]) {
      const queued = backlog.queued();
      if (queued === 0) return false;
      const room = outlet.room();
      if (room === undefined) continue;
      const turn = outlets.size === 1 ? ALONE : SHARED;
      const fair = Math.ceil(queued / outlets.size);
      const messages = Math.min(room.messages, turn.messages, fair);
      const batch = backlog.take({ messages, bytes: Math.min(room.bytes, turn.bytes) });
      // Next time the others come first.
      outlets.delete(outlet);
      outlets.add(outlet);
      outlet.deliver(batch);
      moved = true;
    }
    return moved;
  };

  const pump = (): void => {
    if (pumping) return;
    pumping = true;
    let moved = false;
    try {
      while (backlog.queued() > 0 && round()) moved = true;
    } finally {
      pumping = false;
    }
    if (moved) wake();
  };

  const wake = (): void => {
    for (const inlet of [...inlets]) {
      if (!inlet.waiting()) continue;
      inlet.wake();
      if (inlet.waiting()) continue;
      // The next time there is room, the others come first.
      inlets.delete(inlet);
      inlets.add(inlet);
    }
  };

  return {
    options,
    pool,
    backlog,
    tally,
    outlets,
    inlets,
    pump,
    emit: (event) => options.onEvent?.(event),
    wake,
  };
}
