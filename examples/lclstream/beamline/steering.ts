// Where the beam goes next: a coarse raster over the sample, then the positions that promise the most crystals.
// A state machine without I/O: told of each answered frame, asked for each next position. Owns the shots and hits per position.
// Near positions resemble each other (a crystal-rich region is larger than a position), so each answer also speaks for its neighbours.
import type { Position } from '../detector/sample.ts';

export type SteeringDecision = {
  /** The first frame that was sent because of it. */
  readonly atSequence: number;
  readonly reason: string;
  readonly from: Position;
  readonly to: Position;
};

export type PositionCount = Position & { readonly shots: number; readonly hits: number };

export type Steering = {
  readonly next: (sequence: number) => { readonly position: Position; readonly decision: SteeringDecision | undefined };
  readonly learn: (position: Position, hit: boolean) => void;
  readonly expectedHitRate: (position: Position) => number;
  /** Frames sent to each position (shots) and the hits answered so far. */
  readonly counts: () => readonly PositionCount[];
};

export type SteeringOptions = {
  readonly rows: number;
  readonly columns: number;
  /** Frames of the whole run; the raster takes at most about a quarter of them. */
  readonly frames: number;
  /** false: the raster is repeated for ever (replayed frames do not depend on the position). */
  readonly steered: boolean;
};

/** The raster visits every second row and column. */
const RASTER_STEP = 2;
const RECONSIDER_EVERY = 8;
/** A position gives no more than this many frames: the beam damages the sample. */
const MOST_SHOTS = 24;
/** How far an answer speaks for its neighbours, in positions. */
const KERNEL_WIDTH = 1.1;
/** What is expected of a position nobody looked at: 0.2 hits in 2 shots. */
const PRIOR = { hits: 0.2, shots: 2 } as const;
/** A move costs time, so it must promise this much more. */
const GAIN_TO_MOVE = 0.05;

type Count = { shots: number; answered: number; hits: number };

/** Every second row, alternately left to right and back, as a stage would move. */
export function rasterPath(rows: number, columns: number): readonly Position[] {
  const path: Position[] = [];
  for (let row = 1; row < rows; row += RASTER_STEP) {
    const line: Position[] = [];
    for (let column = 1; column < columns; column += RASTER_STEP) line.push({ row, column });
    path.push(...(path.length % (2 * line.length) === 0 ? line : line.reverse()));
  }
  return path;
}

function name(position: Position): string {
  return `row ${position.row}, column ${position.column}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function createSteering(options: SteeringOptions): Steering {
  const { rows, columns } = options;
  const path = rasterPath(rows, columns);
  const perPosition = options.frames >= path.length * 8 ? 2 : 1;
  const rasterFrames = path.length * perPosition;
  const counts: Count[] = Array.from({ length: rows * columns }, () => ({ shots: 0, answered: 0, hits: 0 }));
  const positionOf = (index: number): Position => ({ row: Math.floor(index / columns), column: index % columns });
  const countOf = (position: Position): Count =>
    counts[position.row * columns + position.column] ?? { shots: 0, answered: 0, hits: 0 };
  const start = path[0] ?? { row: 0, column: 0 };
  let current = start;
  let steeredFrames = 0;

  const expectedHitRate = (position: Position): number => {
    let { hits, shots } = PRIOR as { hits: number; shots: number };
    counts.forEach((count, index) => {
      if (count.answered === 0) return;
      const at = positionOf(index);
      const squared = (at.row - position.row) ** 2 + (at.column - position.column) ** 2;
      const weight = Math.exp(-squared / (2 * KERNEL_WIDTH * KERNEL_WIDTH));
      hits += weight * count.hits;
      shots += weight * count.answered;
    });
    return hits / shots;
  };

  const best = (): { readonly position: Position; readonly rate: number } | undefined => {
    let found: { readonly position: Position; readonly rate: number } | undefined;
    for (let index = 0; index < counts.length; index += 1) {
      const position = positionOf(index);
      if (countOf(position).shots >= MOST_SHOTS) continue;
      const rate = expectedHitRate(position);
      if (!found || rate > found.rate) found = { position, rate };
    }
    return found;
  };

  const reasonToMove = (
    isFirst: boolean,
    to: { readonly position: Position; readonly rate: number },
  ): string | undefined => {
    const promise = `${percent(to.rate)} hits expected at ${name(to.position)}`;
    const total = counts.reduce(
      (sum, count) => ({ hits: sum.hits + count.hits, answered: sum.answered + count.answered }),
      {
        hits: 0,
        answered: 0,
      },
    );
    if (isFirst) return `raster done, ${total.hits} of ${total.answered} answered frames are hits; ${promise}`;
    const here = countOf(current);
    if (here.shots >= MOST_SHOTS) return `position used up after ${here.shots} frames; ${promise}`;
    const rate = expectedHitRate(current);
    return to.rate > rate + GAIN_TO_MOVE ? `${percent(rate)} hits expected here, ${promise}` : undefined;
  };

  const steer = (sequence: number): SteeringDecision | undefined => {
    const isFirst = steeredFrames === 0;
    const isUsedUp = countOf(current).shots >= MOST_SHOTS;
    const isDue = isFirst || isUsedUp || steeredFrames % RECONSIDER_EVERY === 0;
    steeredFrames += 1;
    const to = isDue ? best() : undefined;
    const reason = to && reasonToMove(isFirst, to);
    if (!to || !reason) return undefined;
    const decision = { atSequence: sequence, reason, from: current, to: to.position };
    current = to.position;
    return decision;
  };

  return {
    next: (sequence) => {
      let decision: SteeringDecision | undefined;
      if (!options.steered || sequence < rasterFrames) {
        current = path[Math.floor(sequence / perPosition) % path.length] ?? start;
      } else decision = steer(sequence);
      countOf(current).shots += 1;
      return { position: current, decision };
    },
    learn: (position, hit) => {
      const count = countOf(position);
      count.answered += 1;
      if (hit) count.hits += 1;
    },
    expectedHitRate,
    counts: () => counts.map((count, index) => ({ ...positionOf(index), shots: count.shots, hits: count.hits })),
  };
}
