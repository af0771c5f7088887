/**
 * Audit events of a node until the control plane has taken them. Bounded: a flood of refused connections is folded into a count per
 * stream, kind and reason, so that it can neither fill the disk nor hide other events.
 */
import { randomUUID } from 'node:crypto';
import type { NodeEvent } from '../api/contract/node-link.ts';
import type { Clock } from '../clock.ts';

const MOST_EVENTS = 2000;
/** Kinds that an outsider can cause at will. */
const FOLDED = new Set(['refused']);

export interface EventSpool {
  add(event: {
    readonly stream: string;
    readonly kind: string;
    readonly detail: Readonly<Record<string, unknown>>;
  }): void;
  waiting(): readonly NodeEvent[];
  delivered(ids: readonly string[]): void;
}

export function eventSpool(clock: Clock, earlier: readonly NodeEvent[]): EventSpool {
  let events: NodeEvent[] = [...earlier];
  let overflowed = 0;
  /** Events handed out may be on their way: a later repetition must not change them. */
  let handedOut = new Set<string>();
  return {
    add(event) {
      const fold = FOLDED.has(event.kind)
        ? events.findIndex(
            (e) =>
              !handedOut.has(e.id) &&
              e.stream === event.stream &&
              e.kind === event.kind &&
              e.detail['reason'] === event.detail['reason'],
          )
        : -1;
      const same = events[fold];
      if (same !== undefined) {
        events[fold] = { ...same, detail: { ...same.detail, times: Number(same.detail['times'] ?? 1) + 1 } };
        return;
      }
      if (events.length >= MOST_EVENTS) {
        overflowed += 1;
        return;
      }
      const detail = overflowed > 0 ? { ...event.detail, lostBefore: overflowed } : event.detail;
      overflowed = 0;
      events.push({
        id: randomUUID(),
        atMs: clock.now(),
        stream: event.stream,
        kind: event.kind,
        detail: { ...detail },
      });
    },
    waiting() {
      for (const event of events) handedOut.add(event.id);
      return events;
    },
    delivered(ids) {
      const gone = new Set(ids);
      if (gone.size === 0) return;
      events = events.filter((e) => !gone.has(e.id));
      handedOut = new Set([...handedOut].filter((id) => !gone.has(id)));
    },
  };
}
