// Recall and precision of found peaks against the model's known spots; the definitions are at the head of peak-finder.ts.
import type { TrueSpot } from './frame-source.ts';
import type { Peak } from './peak-finder.ts';

export const STRONG_SNR = 6;
export const MATCH_DISTANCE_PX = 2;

/** Counts that add up over frames. */
export type Score = {
  readonly strongSpots: number;
  readonly strongFound: number;
  readonly peaks: number;
  readonly peaksTrue: number;
};

export const NO_SCORE: Score = { strongSpots: 0, strongFound: 0, peaks: 0, peaksTrue: 0 };

function isNear(spot: TrueSpot, peak: Peak): boolean {
  return Math.hypot(spot.x - peak[0], spot.y - peak[1]) <= MATCH_DISTANCE_PX;
}

export function addScore(score: Score, truth: readonly TrueSpot[], peaks: readonly Peak[]): Score {
  const strong = truth.filter((spot) => spot.snr >= STRONG_SNR);
  return {
    strongSpots: score.strongSpots + strong.length,
    strongFound: score.strongFound + strong.filter((spot) => peaks.some((peak) => isNear(spot, peak))).length,
    peaks: score.peaks + peaks.length,
    peaksTrue: score.peaksTrue + peaks.filter((peak) => truth.some((spot) => isNear(spot, peak))).length,
  };
}

/** null when there was nothing to find, or nothing was found. */
export function recallOf(score: Score): number | null {
  return score.strongSpots === 0 ? null : score.strongFound / score.strongSpots;
}

export function precisionOf(score: Score): number | null {
  return score.peaks === 0 ? null : score.peaksTrue / score.peaks;
}
