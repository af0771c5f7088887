// The sample as a grid: the darker a position, the longer the beam stayed; the bar below its number is the share of hits. Owns no state.
import { chartSvg, text } from './chart.ts';
import { coordinate } from './markup.ts';
import type { SampleMap } from './report-input.ts';

const CELL = { width: 32, height: 32 } as const;
const LEFT = 34;
const TOP = 26;
const STEPS = 5;

/** 0 for no frame, else 1 to 5 by the share of the most visited position's frames. */
export function dwellStep(shots: number, most: number): number {
  if (shots === 0) return 0;
  return Math.max(1, Math.ceil((shots / Math.max(1, most)) * STEPS));
}

function drawCell(
  place: { readonly x: number; readonly y: number },
  count: { readonly shots: number; readonly hits: number } | undefined,
  most: number,
): string {
  const shots = count?.shots ?? 0;
  const [width, height] = [CELL.width - 2, CELL.height - 2];
  const step = dwellStep(shots, most);
  const box = `<rect class="cell dwell-${step}" x="${place.x}" y="${place.y}" width="${width}" height="${height}" rx="3"/>`;
  if (!count || shots === 0) return box;
  const bar = width - 8;
  const hits = coordinate((bar * count.hits) / shots);
  const barY = place.y + height - 8;
  return [
    box,
    text({ x: place.x + width / 2, y: place.y + 17 }, String(shots), `cell-count middle${step >= 4 ? ' on-dark' : ''}`),
    `<rect class="hit-track" x="${place.x + 4}" y="${barY}" width="${bar}" height="4" rx="2"/>`,
    count.hits > 0 ? `<rect class="hit-share" x="${place.x + 4}" y="${barY}" width="${hits}" height="4" rx="2"/>` : '',
  ].join('');
}

export function drawSampleMap(sample: SampleMap): string {
  const counts = new Map(sample.positions.map((each) => [each.row * sample.columns + each.column, each]));
  const most = Math.max(0, ...sample.positions.map((each) => each.shots));
  const cells: string[] = [];
  for (let column = 0; column < sample.columns; column += 1) {
    cells.push(text({ x: LEFT + (column + 0.5) * CELL.width, y: TOP - 8 }, String(column), 'tick middle'));
  }
  for (let row = 0; row < sample.rows; row += 1) {
    cells.push(text({ x: LEFT - 8, y: TOP + (row + 0.5) * CELL.height + 4 }, String(row), 'tick end'));
    for (let column = 0; column < sample.columns; column += 1) {
      const place = { x: LEFT + column * CELL.width, y: TOP + row * CELL.height };
      cells.push(drawCell(place, counts.get(row * sample.columns + column), most));
    }
  }
  const size = { width: LEFT + sample.columns * CELL.width + 4, height: TOP + sample.rows * CELL.height + 4 };
  const visited = sample.positions.filter((each) => each.shots > 0).length;
  const alt = `Frames per sample position, ${sample.rows} rows by ${sample.columns} columns; ${visited} positions visited, at most ${most} frames at one.`;
  return chartSvg(size, alt, cells.join(''));
}
