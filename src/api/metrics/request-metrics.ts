/** Counts this replica's requests by operation and status, and how long they took. Bounded by the contract: nothing a client sends becomes a label. */
import type { Family, Sample } from './exposition.ts';

export interface ServedRequest {
  /** Its id in the contract. */
  readonly operation: string;
  readonly status: number;
  /** Its client went away before the answer was whole. */
  readonly gone: boolean;
  readonly seconds: number;
  /** Waits on purpose: counted, not timed. */
  readonly waits: boolean;
}

export interface RequestMetrics {
  served(request: ServedRequest): void;
  families(): readonly Family[];
}

const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const;

interface Timed {
  readonly buckets: number[];
  sum: number;
  count: number;
}

export function openRequestMetrics(): RequestMetrics {
  const counts = new Map<string, { readonly labels: Record<string, string>; value: number }>();
  const times = new Map<string, Timed>();
  return {
    served({ operation, status, gone, seconds, waits }) {
      const labels = { operation, status: gone ? 'gone' : String(status) };
      const key = `${operation} ${labels.status}`;
      const count = counts.get(key) ?? { labels, value: 0 };
      count.value += 1;
      counts.set(key, count);
      if (waits) return;
      const timed = times.get(operation) ?? { buckets: BOUNDS.map(() => 0), sum: 0, count: 0 };
      times.set(operation, timed);
      BOUNDS.forEach((bound, i) => {
        if (seconds <= bound) timed.buckets[i] = (timed.buckets[i] ?? 0) + 1;
      });
      timed.sum += seconds;
      timed.count += 1;
    },
    families: () => [
      {
        name: 'beamway_http_requests_total',
        type: 'counter',
        help: 'Requests to this replica by operation and HTTP status; gone: the client went away first',
        samples: [...counts.values()],
      },
      {
        name: 'beamway_http_request_duration_seconds',
        type: 'histogram',
        help: 'From the headers of a request to the end of its answer; without operations that wait on purpose',
        samples: [...times].flatMap(([operation, timed]) => histogram(operation, timed)),
      },
    ],
  };
}

function histogram(operation: string, { buckets, sum, count }: Timed): readonly Sample[] {
  const bucket = (le: string, value: number): Sample => ({ suffix: '_bucket', labels: { operation, le }, value });
  return [
    ...BOUNDS.map((bound, i) => bucket(String(bound), buckets[i] ?? 0)),
    bucket('+Inf', count),
    { suffix: '_sum', labels: { operation }, value: sum },
    { suffix: '_count', labels: { operation }, value: count },
  ];
}
