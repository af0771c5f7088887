// Mean and spread of the background in bins of pixels, robust against Bragg spots: the first half of the peak finder.
// Bins are rings around the beam when its place is known (as in peakfinder8, Barty et al. 2014), else tiles of 32 x 32 pixels.
// Owns nothing; the caller keeps the bin map of a detector, which is dear to build and the same for each of its frames.

export type PixelArray = Uint16Array | Int32Array;

export type BinMap = { readonly bins: Uint16Array; readonly count: number };

export type BinStatistics = { readonly mean: Float64Array; readonly sigma: Float64Array };

const TILE_PX = 32;
const RING_WIDTH_PX = 1.5;
/** One pixel in three is enough to know a ring, and costs a third; 3 shares no factor with usual row lengths' powers of two. */
const STRIDE = 3;
const ROUNDS = 3;
const CLIP_SIGMAS = 3;
const FEWEST_PIXELS = 12;

/** One bin number a pixel; shape is [rows, columns]. */
export function buildBinMap(
  shape: readonly [number, number],
  beamCentre: { readonly x: number; readonly y: number } | undefined,
): BinMap {
  const [rows, columns] = shape;
  const bins = new Uint16Array(rows * columns);
  const tilesAcross = Math.ceil(columns / TILE_PX);
  let largest = 0;
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const bin = beamCentre
        ? Math.floor(Math.hypot(column - beamCentre.x, row - beamCentre.y) / RING_WIDTH_PX)
        : Math.floor(row / TILE_PX) * tilesAcross + Math.floor(column / TILE_PX);
      const bounded = Math.min(65535, bin);
      bins[row * columns + column] = bounded;
      if (bounded > largest) largest = bounded;
    }
  }
  return { bins, count: largest + 1 };
}

/**
 * Clipped mean and standard deviation of each bin. Pixels below 0 or at `saturation` and more are left out.
 * Bins with too few pixels to know get an infinite sigma, so that nothing there can be a peak.
 */
export function measureBackground(pixels: PixelArray, map: BinMap, saturation: number): BinStatistics {
  const { bins, count } = map;
  const mean = new Float64Array(count);
  const sigma = new Float64Array(count);
  const low = new Float64Array(count);
  const high = new Float64Array(count).fill(saturation - 1);
  const sum = new Float64Array(count);
  const squares = new Float64Array(count);
  const number = new Int32Array(count);
  for (let round = 0; round < ROUNDS; round += 1) {
    sum.fill(0);
    squares.fill(0);
    number.fill(0);
    for (let at = 0; at < pixels.length; at += STRIDE) {
      const value = pixels[at] as number;
      const bin = bins[at] as number;
      if (value < (low[bin] as number) || value > (high[bin] as number)) continue;
      sum[bin] = (sum[bin] as number) + value;
      squares[bin] = (squares[bin] as number) + value * value;
      number[bin] = (number[bin] as number) + 1;
    }
    for (let bin = 0; bin < count; bin += 1) {
      const n = number[bin] as number;
      const average = n > 0 ? (sum[bin] as number) / n : 0;
      const spread = n > 0 ? Math.sqrt(Math.max(0, (squares[bin] as number) / n - average * average)) : 0;
      mean[bin] = average;
      sigma[bin] = n < FEWEST_PIXELS ? Number.POSITIVE_INFINITY : spread;
      // Half a count wider than the clip: with few counts the spread of whole numbers is coarse.
      low[bin] = Math.max(0, average - CLIP_SIGMAS * spread - 0.5);
      high[bin] = Math.min(saturation - 1, average + CLIP_SIGMAS * spread + 0.5);
    }
  }
  return { mean, sigma };
}
