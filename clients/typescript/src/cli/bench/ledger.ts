/** What came of what was sent: each message once, again, or out of order at the consumer that got it. Pure. */

export interface Ledger {
  /** False where it had come before. */
  arrived(consumer: number, producer: number, sequence: number): boolean;
  readonly received: number;
  readonly duplicated: number;
  /** Came at a consumer after a later one of the same producer. */
  readonly reordered: number;
}

export function openLedger(): Ledger {
  const seen = new Map<number, Uint8Array>();
  const highest = new Map<string, number>();
  const counts = { received: 0, duplicated: 0, reordered: 0 };
  return {
    arrived(consumer, producer, sequence) {
      let marks = seen.get(producer) ?? new Uint8Array(1024);
      if (sequence >= marks.length) {
        const wider = new Uint8Array(Math.max(marks.length * 2, sequence + 1));
        wider.set(marks);
        marks = wider;
      }
      seen.set(producer, marks);
      if (marks[sequence] === 1) {
        counts.duplicated += 1;
        return false;
      }
      marks[sequence] = 1;
      counts.received += 1;
      const key = `${consumer} ${producer}`;
      const before = highest.get(key) ?? -1;
      if (sequence < before) counts.reordered += 1;
      else highest.set(key, sequence);
      return true;
    },
    get received() {
      return counts.received;
    },
    get duplicated() {
      return counts.duplicated;
    },
    get reordered() {
      return counts.reordered;
    },
  };
}
