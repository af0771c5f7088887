/**
 * The outbox: facts that one room tells others, written in the transaction that made them true (architecture.md 2).
 * Emitted events wait in outbox_pending; whoever reads first moves them to outbox_event under the lock of outbox_head,
 * which numbers them without gaps: a reader that has seen position N never later finds a smaller one.
 */

/** An event as its readers get it. */
export interface OutboxEvent {
  /** 1, 2, 3, ... in the order in which events became visible. */
  readonly position: number;
  readonly topic: string;
  /** What the event is about, such as a token's id; events of one key keep the order in which they were emitted. */
  readonly key: string;
  readonly payload: unknown;
  readonly emittedAt: Date;
}

/** Channel of NOTIFY; the payload is the topic. It only wakes readers, events are in the table. */
export const OUTBOX_CHANNEL = 'beamway_outbox';
