/** Times of a run, kept whole, and their quantiles. Pure. */

export interface Quantiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface Latencies {
  add(ms: number): void;
  /** In ms, to the microsecond; null where nothing was added. */
  quantiles(): Quantiles | null;
}

export function openLatencies(): Latencies {
  let held = new Float64Array(4096);
  let count = 0;
  return {
    add(ms) {
      if (count === held.length) {
        const wider = new Float64Array(held.length * 2);
        wider.set(held);
        held = wider;
      }
      held[count] = ms;
      count += 1;
    },
    quantiles() {
      if (count === 0) return null;
      const sorted = held.slice(0, count).sort();
      const at = (share: number): number => {
        const ms = sorted[Math.min(count - 1, Math.ceil(share * count) - 1)] ?? 0;
        return Math.round(ms * 1000) / 1000;
      };
      return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
    },
  };
}
