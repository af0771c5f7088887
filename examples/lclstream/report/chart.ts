// The pieces all charts share: a plotting area, ticks on round numbers, axes, shaded intervals. Owns no state.
// Colours are classes; style.ts gives them values for light and dark.
import { coordinate, escapeText, plainNumber } from './markup.ts';
import type { ShadedInterval } from './report-input.ts';

export type Plot = { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
export type Scale = (value: number) => number;
export type Span = { readonly from: number; readonly to: number };

export function linear(span: Span, from: number, to: number): Scale {
  const length = span.to - span.from || 1;
  return (value) => from + ((value - span.from) / length) * (to - from);
}

/** Round values from 0 (or from the span's start) up to its end, about `count` of them. */
export function roundTicks(span: Span, count: number): readonly number[] {
  const rough = (span.to - span.from) / Math.max(1, count) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? 10 * power;
  const ticks: number[] = [];
  for (let n = Math.ceil(span.from / step); n * step <= span.to + step * 1e-9; n += 1) ticks.push(n * step);
  return ticks;
}

export function text(at: { readonly x: number; readonly y: number }, label: string, classes: string): string {
  return `<text class="${classes}" x="${coordinate(at.x)}" y="${coordinate(at.y)}">${escapeText(label)}</text>`;
}

export function polyline(points: readonly (readonly [number, number])[], classes: string): string {
  const d = points.map(([x, y], n) => `${n === 0 ? 'M' : 'L'}${coordinate(x)} ${coordinate(y)}`).join('');
  return d === '' ? '' : `<path class="${classes}" d="${d}"/>`;
}

/** Horizontal grid lines with their values at the left. */
export function valueAxis(
  plot: Plot,
  scale: Scale,
  ticks: { readonly values: readonly number[]; readonly unit: string },
): string {
  return ticks.values
    .map((value) => {
      const y = scale(value);
      const line = `<path class="grid" d="M${plot.left} ${coordinate(y)}h${plot.width}"/>`;
      return line + text({ x: plot.left - 8, y: y + 4 }, `${plainNumber(value)}${ticks.unit}`, 'tick end');
    })
    .join('');
}

/** Ticks below the plot. */
export function bottomAxis(
  plot: Plot,
  scale: Scale,
  axis: { readonly values: readonly number[]; readonly title: string },
): string {
  const base = plot.top + plot.height;
  const ticks = axis.values
    .map((value) => {
      const x = scale(value);
      return `<path class="axis" d="M${coordinate(x)} ${base}v5"/>${text({ x, y: base + 19 }, plainNumber(value), 'tick middle')}`;
    })
    .join('');
  const title = text({ x: plot.left + plot.width, y: base + 36 }, axis.title, 'tick end');
  return `<path class="axis" d="M${plot.left} ${base}h${plot.width}"/>${ticks}${title}`;
}

/** Hatched stretches over the plot's height, each named at its top. `toX` takes Unix milliseconds. */
export function shadedIntervals(plot: Plot, toX: Scale, intervals: readonly ShadedInterval[]): string {
  return intervals
    .map((interval) => {
      const from = Math.max(plot.left, toX(interval.startMs));
      const to = Math.min(plot.left + plot.width, toX(interval.endMs));
      if (to <= from) return '';
      const place = `x="${coordinate(from)}" y="${plot.top}" width="${coordinate(to - from)}" height="${plot.height}"`;
      const middle = Math.min(plot.left + plot.width - 80, Math.max(plot.left + 80, (from + to) / 2));
      return `<rect class="outage" ${place}/>${text({ x: middle, y: plot.top - 6 }, interval.label, 'outage-label middle')}`;
    })
    .join('');
}

/** One chart with its accessible description; scrolls sideways rather than shrinking below readable. */
export function chartSvg(size: { readonly width: number; readonly height: number }, alt: string, body: string): string {
  const svg = `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escapeText(alt)}">${body}</svg>`;
  return `<div class="scroll" tabindex="0">${svg}</div>`;
}
