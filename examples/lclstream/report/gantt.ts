// The cluster over time: a row for each slot of each node, a bar for each attempt, coloured by tier. Owns no state.
// A preempted attempt ends ragged with a cross; the attempt that resumes the job starts with an arrow, and a dotted line joins the two.
import { bottomAxis, chartSvg, linear, type Plot, roundTicks, type Scale, shadedIntervals, text } from './chart.ts';
import { coordinate, escapeText } from './markup.ts';
import type { Gantt, GanttBar, ShadedInterval } from './report-input.ts';

const WIDTH = 1120;
const LEFT = 96;
const TOP = 30;
const ROW = 22;
const NODE_GAP = 8;
const BOTTOM = 46;
const TIER_COLOURS = 6;
/** Roughly what a letter of a bar's label takes. */
const LETTER_WIDTH = 6.1;

type Layout = {
  readonly plot: Plot;
  readonly toX: Scale;
  readonly startMs: number;
  readonly endMs: number;
  readonly rowY: (node: string, slot: number) => number;
  readonly slotsOf: ReadonlyMap<string, number>;
};

/** Tiers in the order in which they first ran; the first six have colours of their own. */
export function tiersOf(gantt: Gantt): readonly string[] {
  const ordered = [...gantt.bars].sort((left, right) => left.startMs - right.startMs);
  return [...new Set(ordered.map((bar) => bar.tier))];
}

export function tierClass(tiers: readonly string[], tier: string): string {
  return `tier-${tiers.indexOf(tier) % TIER_COLOURS}`;
}

function layOut(gantt: Gantt): Layout {
  const nodes = [...new Set([...gantt.nodes, ...gantt.bars.map((bar) => bar.node)])];
  const slotsOf = new Map(nodes.map((node) => [node, 1]));
  for (const bar of gantt.bars)
    slotsOf.set(bar.node, Math.max(slotsOf.get(bar.node) ?? 1, ...bar.slots.map((slot) => slot + 1)));
  const nodeY = new Map<string, number>();
  let y = TOP;
  for (const node of nodes) {
    nodeY.set(node, y);
    y += (slotsOf.get(node) ?? 1) * ROW + NODE_GAP;
  }
  const startMs = Math.min(...gantt.bars.map((bar) => bar.startMs));
  const endMs = Math.max(...gantt.bars.map((bar) => bar.endMs));
  const plot = { left: LEFT, top: TOP, width: WIDTH - LEFT - 16, height: y - TOP - NODE_GAP };
  const toX = linear({ from: startMs, to: endMs }, plot.left, plot.left + plot.width);
  return { plot, toX, startMs, endMs, slotsOf, rowY: (node, slot) => (nodeY.get(node) ?? TOP) + slot * ROW };
}

/** Neighbouring slots of one bar are drawn as one block. */
export function slotRuns(slots: readonly number[]): readonly { readonly first: number; readonly last: number }[] {
  const runs: { first: number; last: number }[] = [];
  for (const slot of [...slots].sort((left, right) => left - right)) {
    const run = runs.at(-1);
    if (run && slot <= run.last + 1) run.last = slot;
    else runs.push({ first: slot, last: slot });
  }
  return runs;
}

function barTitle(bar: GanttBar, startMs: number): string {
  const seconds = (ms: number): string => `${((ms - startMs) / 1000).toFixed(1)} s`;
  return `${bar.name} (${bar.job}), tier ${bar.tier}, attempt ${bar.attempt}, ${bar.outcome}, ${seconds(bar.startMs)} to ${seconds(bar.endMs)}`;
}

function isResumed(bar: GanttBar, bars: readonly GanttBar[]): boolean {
  return bars.some((other) => other.job === bar.job && other.attempt < bar.attempt && other.outcome === 'preempted');
}

function drawBar(bar: GanttBar, layout: Layout, look: { readonly classes: string; readonly resumed: boolean }): string {
  const [x, end] = [layout.toX(bar.startMs), layout.toX(bar.endMs)];
  const width = Math.max(2, end - x);
  const label = bar.attempt > 1 ? `${bar.name} #${bar.attempt}` : bar.name;
  const inset = look.resumed ? 16 : 6;
  const room = width - inset - (bar.outcome === 'preempted' ? 16 : 6);
  const blocks = slotRuns(bar.slots).map((run) => {
    const y = layout.rowY(bar.node, run.first) + 1.5;
    const height = (run.last - run.first + 1) * ROW - 3;
    const middle = y + height / 2;
    const marks: string[] = [];
    if (look.resumed)
      marks.push(`<path class="resumed" d="M${coordinate(x + 4)} ${coordinate(middle - 5)}l8 5l-8 5z"/>`);
    if (bar.outcome === 'preempted') {
      const cross = `M${coordinate(end - 13)} ${coordinate(middle - 4.5)}l9 9m0 -9l-9 9`;
      marks.push(`<path class="preempted" d="${cross}"/>`);
    }
    if (label.length * LETTER_WIDTH <= room) marks.push(text({ x: x + inset, y: middle + 4 }, label, 'bar-label'));
    const place = `x="${coordinate(x)}" y="${coordinate(y)}" width="${coordinate(width)}" height="${coordinate(height)}" rx="3"`;
    return `<rect class="bar ${look.classes} ${bar.outcome}" ${place}/>${marks.join('')}`;
  });
  return `<g><title>${escapeText(barTitle(bar, layout.startMs))}</title>${blocks.join('')}</g>`;
}

/** From the end of each preempted attempt to the start of the next one of the same job. */
function drawJoins(gantt: Gantt, layout: Layout): string {
  const seen = new Set<string>();
  return gantt.bars
    .map((bar) => {
      if (bar.outcome !== 'preempted' || seen.has(`${bar.job}/${bar.attempt}`)) return '';
      seen.add(`${bar.job}/${bar.attempt}`);
      const next = gantt.bars.find((other) => other.job === bar.job && other.attempt === bar.attempt + 1);
      if (!next) return '';
      const fromY = layout.rowY(bar.node, bar.slots[0] ?? 0) + ROW / 2;
      const toY = layout.rowY(next.node, next.slots[0] ?? 0) + ROW / 2;
      const [fromX, toX] = [layout.toX(bar.endMs), layout.toX(next.startMs)];
      return `<path class="join" d="M${coordinate(fromX)} ${coordinate(fromY)}L${coordinate(toX)} ${coordinate(toY)}"/>`;
    })
    .join('');
}

function drawRows(layout: Layout): string {
  return [...layout.slotsOf]
    .map(([node, slots]) => {
      const top = layout.rowY(node, 0);
      const rows = Array.from({ length: slots }, (_, slot) => {
        const y = layout.rowY(node, slot);
        const row = `<rect class="slot" x="${LEFT}" y="${y + 0.5}" width="${layout.plot.width}" height="${ROW - 1}"/>`;
        return row + (slots > 1 ? text({ x: LEFT - 8, y: y + 15 }, String(slot), 'tick end') : '');
      });
      return rows.join('') + text({ x: 4, y: top + (slots * ROW) / 2 + 4 }, node, 'node-label');
    })
    .join('');
}

export function drawGantt(gantt: Gantt, outages: readonly ShadedInterval[]): string {
  if (gantt.bars.length === 0) return '<p>No job ran.</p>';
  const layout = layOut(gantt);
  const tiers = tiersOf(gantt);
  const seconds = { from: 0, to: (layout.endMs - layout.startMs) / 1000 };
  const toX: Scale = (value) => layout.toX(layout.startMs + value * 1000);
  const bars = gantt.bars.map((bar) =>
    drawBar(bar, layout, { classes: tierClass(tiers, bar.tier), resumed: isResumed(bar, gantt.bars) }),
  );
  const preempted = gantt.bars.filter((bar) => bar.outcome === 'preempted').length;
  const alt = `Jobs on ${layout.slotsOf.size} nodes over ${seconds.to.toFixed(1)} seconds: ${gantt.bars.length} attempts, ${preempted} of them preempted.`;
  const body = [
    drawRows(layout),
    shadedIntervals(layout.plot, layout.toX, outages),
    drawJoins(gantt, layout),
    ...bars,
    bottomAxis(layout.plot, toX, { values: roundTicks(seconds, 12), title: 'seconds since the first job' }),
  ];
  return chartSvg({ width: WIDTH, height: layout.plot.top + layout.plot.height + BOTTOM }, alt, body.join(''));
}

export function drawGanttLegend(gantt: Gantt): string {
  const tiers = tiersOf(gantt);
  const swatches = tiers.map((tier) => {
    const box = `<svg class="swatch" viewBox="0 0 18 12" aria-hidden="true"><rect class="bar ${tierClass(tiers, tier)}" width="18" height="12" rx="3"/></svg>`;
    return `<li>${box}tier ${escapeText(tier)}</li>`;
  });
  const cross =
    '<svg class="swatch" viewBox="0 0 18 12" aria-hidden="true"><path class="preempted key" d="M5 1.5l9 9m0 -9l-9 9"/></svg>';
  const arrow =
    '<svg class="swatch" viewBox="0 0 18 12" aria-hidden="true"><path class="resumed key" d="M5 1l8 5l-8 5z"/></svg>';
  const join = '<svg class="swatch" viewBox="0 0 18 12" aria-hidden="true"><path class="join" d="M0 6h18"/></svg>';
  const failed = gantt.bars.some((bar) => bar.outcome === 'failed')
    ? '<li><svg class="swatch" viewBox="0 0 18 12" aria-hidden="true"><rect class="bar failed hollow" x="1" y="1" width="16" height="10" rx="3"/></svg>failed</li>'
    : '';
  const cancelled = gantt.bars.some((bar) => bar.outcome === 'cancelled') ? '<li>pale: cancelled</li>' : '';
  return `<ul class="legend">${swatches.join('')}<li>${cross}preempted</li><li>${arrow}resumed</li><li>${join}waiting to resume</li>${failed}${cancelled}</ul>`;
}
