// The sample the beam is steered over: a grid of positions, of which a region unknown to the beamline holds most crystals.
// Owns no state. The region is two overlapping patches whose places follow from the seed.
import { createRandom } from './random.ts';

export type Position = { readonly row: number; readonly column: number };

export type Sample = {
  readonly rows: number;
  readonly columns: number;
  /** Probability that a shot at the position hits a crystal. Hidden from steering; tests and the detector model may look. */
  readonly hitProbability: (position: Position) => number;
};

export const SAMPLE_ROWS = 12;
export const SAMPLE_COLUMNS = 16;
const POOR = 0.04;
const RICH = 0.88;

type Patch = Position & { readonly radius: number };

function closeness(patch: Patch, position: Position): number {
  const distance = Math.hypot(position.row - patch.row, position.column - patch.column) / patch.radius;
  return Math.exp(-(distance ** 4));
}

export function createSample(seed: number): Sample {
  const random = createRandom(seed, 102);
  const first: Patch = { row: 2.5 + 6.5 * random(), column: 3 + 9.5 * random(), radius: 2.1 };
  const angle = 2 * Math.PI * random();
  const second: Patch = {
    row: Math.min(SAMPLE_ROWS - 2, Math.max(1, first.row + 2 * Math.sin(angle))),
    column: Math.min(SAMPLE_COLUMNS - 2, Math.max(1, first.column + 2.4 * Math.cos(angle))),
    radius: 1.6,
  };
  return {
    rows: SAMPLE_ROWS,
    columns: SAMPLE_COLUMNS,
    hitProbability: (position) =>
      POOR + (RICH - POOR) * Math.max(closeness(first, position), closeness(second, position)),
  };
}
