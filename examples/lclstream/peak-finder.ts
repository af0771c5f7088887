// Finds Bragg spots in a frame of any shape: background by bins, local maxima, then a matched filter over 5 x 5 pixels.
// Owns the bin maps of the detectors seen so far. Pixels below 0 or saturated are ignored.
//
// A peak's snr: the signal in the 5 x 5 aperture / sqrt(background variance in it), where the signal is estimated with the weights of a
// Gaussian spot (1.2 px), which is less noisy than the plain sum. For such a spot it is unbiased, on the scale of the model's truth.
// Recall: share of the true spots of snr >= 6 that have a found peak within 2 px.
// Precision: share of all found peaks that lie within 2 px of a true spot of any strength.
import { type BinMap, buildBinMap, measureBackground, type PixelArray } from './peak-background.ts';

/** [x, y, snr]: column and row in pixels (centroid; a pixel's centre has whole coordinates), strength. */
export type Peak = readonly [number, number, number];

export type PeakFrame = {
  readonly pixels: PixelArray;
  readonly shape: readonly [number, number];
  readonly beamCentre?: { readonly x: number; readonly y: number } | undefined;
  readonly saturation?: number | undefined;
};

export type PeakFinder = (frame: PeakFrame) => readonly Peak[];

/** Noise alone then makes about one peak in fifty blank frames of the model, and few true spots of snr 6 are missed (README). */
export const DEFAULT_THRESHOLD = 4.6;
const SIGMA_PX = 1.2;
const RADIUS = 2;
/** A pixel is looked at from this many sigmas above its background on. */
const CANDIDATE_SIGMAS = 1.5;
/** The eight neighbours together must hold at least this share of the middle's excess: a lone pixel is a cosmic, not a spot. */
const NEIGHBOUR_SHARE = 0.5;
const LEAST_WEIGHT = 0.6;
const SPACING_PX = 4;
const MOST_PEAKS = 4096;
const REMEMBERED_DETECTORS = 4;

const WEIGHTS = Float64Array.from({ length: 25 }, (_, n) => {
  const [dx, dy] = [(n % 5) - RADIUS, Math.floor(n / 5) - RADIUS];
  return Math.exp(-(dx * dx + dy * dy) / (2 * SIGMA_PX * SIGMA_PX));
});
const WEIGHT_SQUARES = WEIGHTS.reduce((sum, weight) => sum + weight * weight, 0);
const WEIGHT_SUM = WEIGHTS.reduce((sum, weight) => sum + weight, 0);
/** From the matched filter's ratio (sum w d / sqrt(sum w^2 var)) to the 5 x 5 aperture's (sum d / sqrt(25 var)). */
const APERTURE_SCALE = WEIGHT_SUM / 5 / Math.sqrt(WEIGHT_SQUARES);

type View = { readonly pixels: PixelArray; readonly columns: number; readonly saturation: number };

function defaultSaturation(pixels: PixelArray): number {
  return pixels instanceof Uint16Array ? 65535 : 2147483647;
}

/** snr of a spot centred on pixel `at`, whose aperture must lie inside the frame; 0 when too much of it is masked. */
function matchedSnr(view: View, at: number, background: { readonly mean: number; readonly variance: number }): number {
  const { pixels, columns, saturation } = view;
  let signal = 0;
  let weightSquares = 0;
  let n = 0;
  for (let dy = -RADIUS; dy <= RADIUS; dy += 1) {
    const start = at + dy * columns - RADIUS;
    for (let m = 0; m < 5; m += 1, n += 1) {
      const value = pixels[start + m] as number;
      if (value < 0 || value >= saturation) continue;
      const weight = WEIGHTS[n] as number;
      signal += weight * (value - background.mean);
      weightSquares += weight * weight;
    }
  }
  if (weightSquares < LEAST_WEIGHT * WEIGHT_SQUARES) return 0;
  return (APERTURE_SCALE * signal) / Math.sqrt(weightSquares * background.variance);
}

/** No neighbour is brighter (ties go to the first in reading order), and the neighbours share in the excess. */
function isSpotLike(view: View, at: number, mean: number): boolean {
  const { pixels, columns, saturation } = view;
  const value = pixels[at] as number;
  let excess = 0;
  for (let dy = -1; dy <= 1; dy += 1) {
    for (let dx = -1; dx <= 1; dx += 1) {
      if (dx === 0 && dy === 0) continue;
      const other = pixels[at + dy * columns + dx] as number;
      if (other >= saturation || other < 0) continue;
      const isEarlier = dy < 0 || (dy === 0 && dx < 0);
      if (other > value || (other === value && isEarlier)) return false;
      excess += other - mean;
    }
  }
  return excess >= NEIGHBOUR_SHARE * (value - mean);
}

function centroid(view: View, at: number, mean: number): readonly [number, number] {
  const { pixels, columns, saturation } = view;
  let [total, sumX, sumY] = [0, 0, 0];
  for (let dy = -RADIUS; dy <= RADIUS; dy += 1) {
    for (let dx = -RADIUS; dx <= RADIUS; dx += 1) {
      const value = pixels[at + dy * columns + dx] as number;
      const excess = value < 0 || value >= saturation ? 0 : value - mean;
      if (excess <= 0) continue;
      total += excess;
      sumX += excess * dx;
      sumY += excess * dy;
    }
  }
  const scale = total > 0 ? 1 / total : 0;
  return [(at % columns) + sumX * scale, Math.floor(at / columns) + sumY * scale];
}

/** Strongest first; a weaker peak too close to a kept one is the same spot. */
function keepSeparate(peaks: readonly Peak[]): readonly Peak[] {
  const kept: Peak[] = [];
  const cells = new Map<string, Peak[]>();
  for (const peak of [...peaks].sort((left, right) => right[2] - left[2])) {
    const [column, row] = [Math.floor(peak[0] / SPACING_PX), Math.floor(peak[1] / SPACING_PX)];
    let isSame = false;
    for (let n = 0; n < 9 && !isSame; n += 1) {
      const near = cells.get(`${column + (n % 3) - 1},${row + Math.floor(n / 3) - 1}`) ?? [];
      isSame = near.some((other) => Math.hypot(other[0] - peak[0], other[1] - peak[1]) < SPACING_PX);
    }
    if (isSame) continue;
    const key = `${column},${row}`;
    cells.set(key, [...(cells.get(key) ?? []), peak]);
    kept.push(peak);
    if (kept.length === MOST_PEAKS) break;
  }
  return kept;
}

function findInView(view: View, rows: number, context: { readonly map: BinMap; readonly threshold: number }): Peak[] {
  const { pixels, columns, saturation } = view;
  const { bins } = context.map;
  const { mean, sigma } = measureBackground(pixels, context.map, saturation);
  // Never below Poisson's own variance, nor a quarter of a count: on near-empty frames a measured sigma of 0 would make every count a peak.
  const variance = sigma.map((spread, bin) => Math.max(spread * spread, mean[bin] as number, 0.25));
  const candidateFrom = variance.map((each, bin) => (mean[bin] as number) + CANDIDATE_SIGMAS * Math.sqrt(each));
  const peaks: Peak[] = [];
  for (let row = RADIUS; row < rows - RADIUS; row += 1) {
    const end = (row + 1) * columns - RADIUS;
    for (let at = row * columns + RADIUS; at < end; at += 1) {
      const value = pixels[at] as number;
      const bin = bins[at] as number;
      if (value <= (candidateFrom[bin] as number) || value >= saturation) continue;
      const average = mean[bin] as number;
      if (!isSpotLike(view, at, average)) continue;
      const snr = matchedSnr(view, at, { mean: average, variance: variance[bin] as number });
      if (snr < context.threshold) continue;
      const [x, y] = centroid(view, at, average);
      peaks.push([x, y, snr]);
    }
  }
  return peaks;
}

/** A peak finder that reports peaks of `threshold` snr and more, strongest first, at most 4096 a frame. */
export function createPeakFinder(threshold: number = DEFAULT_THRESHOLD): PeakFinder {
  const maps = new Map<string, BinMap>();
  return (frame) => {
    const [rows, columns] = frame.shape;
    const key = `${rows}x${columns}@${frame.beamCentre?.x ?? '-'},${frame.beamCentre?.y ?? '-'}`;
    const map = maps.get(key) ?? buildBinMap(frame.shape, frame.beamCentre);
    if (!maps.has(key) && maps.size >= REMEMBERED_DETECTORS) maps.clear();
    maps.set(key, map);
    const view = { pixels: frame.pixels, columns, saturation: frame.saturation ?? defaultSaturation(frame.pixels) };
    return keepSeparate(findInView(view, rows, { map, threshold }));
  };
}
