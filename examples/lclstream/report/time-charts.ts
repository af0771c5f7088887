// Frame rate and latency over time, in buckets of a second, or of a quarter of one when the run was short. Owns no state.
import { quantile } from '../beamline/summary.ts';
import {
  bottomAxis,
  chartSvg,
  linear,
  type Plot,
  polyline,
  roundTicks,
  type Scale,
  shadedIntervals,
  text,
  valueAxis,
} from './chart.ts';
import type { AnsweredPoint, ShadedInterval } from './report-input.ts';

type Bucket = { readonly startMs: number; readonly perSecond: number; readonly p50: number; readonly p99: number };

const SIZE = { width: 560, height: 272 } as const;
const PLOT: Plot = { left: 60, top: 34, width: 484, height: 168 };
const SHORT_RUN_MS = 20_000;

export function bucketWidthMs(answered: readonly AnsweredPoint[]): number {
  const times = answered.map((point) => point.answeredAtMs);
  return Math.max(...times) - Math.min(...times) < SHORT_RUN_MS ? 250 : 1000;
}

export function fillBuckets(answered: readonly AnsweredPoint[], widthMs: number, startMs: number): readonly Bucket[] {
  const latencies = new Map<number, number[]>();
  for (const point of answered) {
    const index = Math.floor((point.answeredAtMs - startMs) / widthMs);
    latencies.set(index, [...(latencies.get(index) ?? []), point.answeredAtMs - point.sentAtMs]);
  }
  const last = Math.max(0, ...latencies.keys());
  return Array.from({ length: last + 1 }, (_, index): Bucket => {
    const sorted = (latencies.get(index) ?? []).sort((left, right) => left - right);
    const bucketStart = startMs + index * widthMs;
    return {
      startMs: bucketStart,
      perSecond: (sorted.length * 1000) / widthMs,
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
    };
  });
}

type TimeFrame = {
  readonly startMs: number;
  readonly endMs: number;
  readonly outages: readonly ShadedInterval[];
  readonly toX: Scale;
};

function frameOf(answered: readonly AnsweredPoint[], outages: readonly ShadedInterval[]): TimeFrame {
  const startMs = Math.min(...answered.map((point) => point.sentAtMs));
  const endMs = Math.max(...answered.map((point) => point.answeredAtMs));
  return { startMs, endMs, outages, toX: linear({ from: startMs, to: endMs }, PLOT.left, PLOT.left + PLOT.width) };
}

function furniture(frame: TimeFrame, toY: Scale, most: number, unit: string): string {
  const seconds = { from: 0, to: (frame.endMs - frame.startMs) / 1000 };
  const toX: Scale = (value) => frame.toX(frame.startMs + value * 1000);
  return [
    shadedIntervals(PLOT, frame.toX, frame.outages),
    valueAxis(PLOT, toY, { values: roundTicks({ from: 0, to: most }, 4), unit }),
    bottomAxis(PLOT, toX, { values: roundTicks(seconds, 8), title: 'seconds since the first frame' }),
  ].join('');
}

export function drawRateChart(answered: readonly AnsweredPoint[], outages: readonly ShadedInterval[]): string {
  const frame = frameOf(answered, outages);
  const width = bucketWidthMs(answered);
  const buckets = fillBuckets(answered, width, frame.startMs);
  const most = Math.max(1, ...buckets.map((bucket) => bucket.perSecond)) * 1.08;
  const toY = linear({ from: 0, to: most }, PLOT.top + PLOT.height, PLOT.top);
  // The last bucket is seldom full: it would show a fall that never was.
  const shown = buckets.length > 2 ? buckets.slice(0, -1) : buckets;
  const bars = shown.map((bucket) => {
    const [x, end] = [frame.toX(bucket.startMs) + 0.5, frame.toX(Math.min(frame.endMs, bucket.startMs + width)) - 0.5];
    const y = toY(bucket.perSecond);
    const size = `width="${Math.max(0.5, end - x).toFixed(2)}" height="${(PLOT.top + PLOT.height - y).toFixed(2)}"`;
    return `<rect class="rate" x="${x.toFixed(2)}" y="${y.toFixed(2)}" ${size}/>`;
  });
  const alt = `Answered frames a second over ${((frame.endMs - frame.startMs) / 1000).toFixed(1)} s, at most ${Math.round(most / 1.08)}.`;
  return chartSvg(SIZE, alt, furniture(frame, toY, most, '') + bars.join(''));
}

export function drawLatencyChart(answered: readonly AnsweredPoint[], outages: readonly ShadedInterval[]): string {
  const frame = frameOf(answered, outages);
  const width = bucketWidthMs(answered);
  const buckets = fillBuckets(answered, width, frame.startMs).filter((bucket) => bucket.perSecond > 0);
  const most = Math.max(1, ...buckets.map((bucket) => bucket.p99)) * 1.1;
  const toY = linear({ from: 0, to: most }, PLOT.top + PLOT.height, PLOT.top);
  const line = (pick: (bucket: Bucket) => number): readonly (readonly [number, number])[] =>
    buckets.map((bucket) => [frame.toX(Math.min(frame.endMs, bucket.startMs + width / 2)), toY(pick(bucket))] as const);
  const key = [
    `<path class="line p50" d="M${PLOT.left + 8} 16h22"/>`,
    text({ x: PLOT.left + 36, y: 20 }, 'half of the frames faster (p50)', 'tick'),
    `<path class="line p99" d="M${PLOT.left + 226} 16h22"/>`,
    text({ x: PLOT.left + 254, y: 20 }, '99 of 100 faster (p99)', 'tick'),
  ].join('');
  // With an outage its label takes the key's line, so the key moves below the plot.
  const placed = frame.outages.length === 0 ? key : `<g transform="translate(0 ${SIZE.height - 24})">${key}</g>`;
  const body =
    furniture(frame, toY, most, ' ms') +
    polyline(
      line((b) => b.p50),
      'line p50',
    ) +
    polyline(
      line((b) => b.p99),
      'line p99',
    );
  const alt = `Latency from detector to answer over time: p50 and p99, at most ${Math.round(most / 1.1)} milliseconds.`;
  return chartSvg(SIZE, alt, body + placed);
}
