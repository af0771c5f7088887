// Hit rate by frame number with the moments at which steering moved the beam. Owns no state.
// By number, not by time: a decision shows in the frames sent after it, and the numbers say exactly which.
import { bottomAxis, chartSvg, linear, type Plot, polyline, roundTicks, text } from './chart.ts';
import { coordinate, percent } from './markup.ts';
import type { AnsweredPoint, SteeringMoment } from './report-input.ts';

const SIZE = { width: 560, height: 268 } as const;
const PLOT: Plot = { left: 60, top: 44, width: 484, height: 168 };
/** Frames over which the rate is averaged, ending at the frame it is drawn at. */
const WINDOW = 24;
const MARK_SPACING = 18;

type RatePoint = { readonly sequence: number; readonly rate: number };

export function rollingHitRate(answered: readonly AnsweredPoint[]): readonly RatePoint[] {
  const ordered = [...answered].sort((left, right) => left.sequence - right.sequence);
  return ordered.map((point, index) => {
    const recent = ordered.slice(Math.max(0, index + 1 - WINDOW), index + 1);
    return { sequence: point.sequence, rate: recent.filter((each) => each.hit).length / recent.length };
  });
}

/** Numbered flags above the plot; where they would touch, only the line is drawn. */
function drawMoments(steering: readonly SteeringMoment[], toX: (sequence: number) => number): string {
  let lastFlag = Number.NEGATIVE_INFINITY;
  return steering
    .map((moment, index) => {
      const x = toX(moment.atSequence);
      const line = `<path class="moment" d="M${coordinate(x)} ${PLOT.top}v${PLOT.height}"/>`;
      if (x - lastFlag < MARK_SPACING) return line;
      lastFlag = x;
      const flag = `<circle class="flag" cx="${coordinate(x)}" cy="${PLOT.top - 10}" r="8"/>`;
      return line + flag + text({ x, y: PLOT.top - 6.5 }, String(index + 1), 'flag-number middle');
    })
    .join('');
}

export function drawHitRateChart(answered: readonly AnsweredPoint[], steering: readonly SteeringMoment[]): string {
  const points = rollingHitRate(answered);
  const last = Math.max(1, ...points.map((point) => point.sequence));
  const toX = linear({ from: 0, to: last }, PLOT.left, PLOT.left + PLOT.width);
  const toY = linear({ from: 0, to: 1 }, PLOT.top + PLOT.height, PLOT.top);
  const line = points.map((point) => [toX(point.sequence), toY(point.rate)] as const);
  const base = PLOT.top + PLOT.height;
  const area =
    line.length > 0 ? [[line[0]?.[0] ?? 0, base] as const, ...line, [line.at(-1)?.[0] ?? 0, base] as const] : [];
  const axis = [0, 0.25, 0.5, 0.75, 1].map((value) => {
    const grid = `<path class="grid" d="M${PLOT.left} ${toY(value)}h${PLOT.width}"/>`;
    return grid + text({ x: PLOT.left - 8, y: toY(value) + 4 }, percent(value), 'tick end');
  });
  const body = [
    ...axis,
    polyline(area, 'hit-area'),
    polyline(line, 'line hit-rate'),
    drawMoments(steering, toX),
    bottomAxis(PLOT, toX, { values: roundTicks({ from: 0, to: last }, 8), title: 'frame number' }),
    text({ x: PLOT.left, y: 14 }, `hits among the last ${WINDOW} frames`, 'tick'),
    steering.length > 0 ? text({ x: PLOT.left + PLOT.width, y: 14 }, 'circles: the beam was moved', 'tick end') : '',
  ];
  const alt = `Hit rate by frame number; steering moved the beam ${steering.length} times, first at frame ${steering[0]?.atSequence ?? 'none'}.`;
  return chartSvg(SIZE, alt, body.join(''));
}
