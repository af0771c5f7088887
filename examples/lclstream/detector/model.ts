// The model detector: 1024 x 1024 uint16 frames of Poisson background with Bragg spots at known places, or blanks.
// Owns the background bank and the mask, both fixed at creation. Frame n depends on (seed, n, beam position) only.
//
// The bank: exact Poisson backgrounds of the whole detector are drawn once, and each row of a frame is copied from a randomly chosen one.
// Each pixel's count is thus exactly Poisson, and no two frames are equal, but a row recurs about every BANK_FRAMES frames. Drawing
// every pixel anew costs ~40 ms a frame, which the two cores we share with the analysis cannot give.
//
// snr of a true spot: expected signal in the 5 x 5 pixels around it / sqrt(expected background in the same 25 pixels).
import type { DetectorFrame, FrameSource, TrueSpot } from '../frame-source.ts';
import { buildMask, expectedBackground, GEOMETRY, MASKED, radiusPx } from './geometry.ts';
import { drawReflections } from './lattice.ts';
import { createRandom, drawPoisson, type Random } from './random.ts';
import { createSample, type Sample } from './sample.ts';

/** Width (standard deviation) of a spot, pixels. */
export const SPOT_SIGMA_PX = 1.2;
/** Share of a centred spot's counts inside the 5 x 5 aperture: erf(2.5 / (1.2 sqrt 2)) squared. */
export const APERTURE_SHARE = 0.9269;
const APERTURE_PIXELS = 25;
const SNR_MIN = 3;
const SNR_MAX = 60;
/** snr of a reflection of relative intensity 1. */
const SNR_SCALE = 42;
/** Spots closer than this are not both placed: every true spot is to be a place of its own. */
const SPOT_SPACING_PX = 9;
const SPOT_RADIUS_PX = 5;
const BANK_FRAMES = 8;
const BRIGHTEST = MASKED - 1;

export type DetectorModel = FrameSource & { readonly sample: Sample };

type Bank = readonly Uint16Array[];

function drawBank(seed: number, mask: Uint8Array): Bank {
  const { rows, columns } = GEOMETRY;
  const expected = Float64Array.from(mask, (masked, at) =>
    masked ? -1 : expectedBackground(radiusPx(GEOMETRY, at % columns, Math.floor(at / columns))),
  );
  return Array.from({ length: BANK_FRAMES }, (_, index) => {
    const random = createRandom(seed, 103, index);
    const pixels = new Uint16Array(rows * columns);
    for (let at = 0; at < pixels.length; at += 1) {
      const mean = expected[at] ?? -1;
      pixels[at] = mean < 0 ? MASKED : drawPoisson(random, mean);
    }
    return pixels;
  });
}

/** True when the spot's aperture lies on the detector and touches no masked pixel. */
function isMeasurable(mask: Uint8Array, x: number, y: number): boolean {
  const { rows, columns } = GEOMETRY;
  const [cx, cy] = [Math.round(x), Math.round(y)];
  if (cx < 6 || cy < 6 || cx >= columns - 6 || cy >= rows - 6) return false;
  for (let row = cy - 3; row <= cy + 3; row += 1) {
    for (let column = cx - 3; column <= cx + 3; column += 1) if (mask[row * columns + column] === 1) return false;
  }
  return true;
}

function drawSpots(mask: Uint8Array, random: Random): readonly TrueSpot[] {
  const spots: TrueSpot[] = [];
  for (const { x, y, intensity } of drawReflections(GEOMETRY, random)) {
    const snr = Math.min(SNR_MAX, SNR_SCALE * intensity);
    if (snr < SNR_MIN || !isMeasurable(mask, x, y)) continue;
    if (spots.some((other) => Math.hypot(other.x - x, other.y - y) < SPOT_SPACING_PX)) continue;
    spots.push({ x, y, snr });
  }
  return spots;
}

/** Standard normal distribution function (Abramowitz and Stegun 7.1.26, error < 1.5e-7). */
function normalCdf(z: number): number {
  const t = 1 / (1 + (0.3275911 * Math.abs(z)) / Math.SQRT2);
  const poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const tail = 0.5 * poly * Math.exp((-z * z) / 2);
  return z < 0 ? tail : 1 - tail;
}

/** Shares of a spot's counts in the pixels around its centre, along one axis. */
function profile(centre: number): Float64Array {
  const first = Math.round(centre) - SPOT_RADIUS_PX;
  return Float64Array.from({ length: 2 * SPOT_RADIUS_PX + 1 }, (_, n) => {
    const low = (first + n - 0.5 - centre) / SPOT_SIGMA_PX;
    return normalCdf(low + 1 / SPOT_SIGMA_PX) - normalCdf(low);
  });
}

function addSpot(pixels: Uint16Array, spot: TrueSpot, random: Random): void {
  const background = expectedBackground(radiusPx(GEOMETRY, spot.x, spot.y));
  const counts = (spot.snr * Math.sqrt(APERTURE_PIXELS * background)) / APERTURE_SHARE;
  const [across, down] = [profile(spot.x), profile(spot.y)];
  const [left, top] = [Math.round(spot.x) - SPOT_RADIUS_PX, Math.round(spot.y) - SPOT_RADIUS_PX];
  for (let n = 0; n < down.length; n += 1) {
    const row = top + n;
    if (row < 0 || row >= GEOMETRY.rows) continue;
    for (let m = 0; m < across.length; m += 1) {
      const column = left + m;
      const at = row * GEOMETRY.columns + column;
      if (column < 0 || column >= GEOMETRY.columns || pixels[at] === MASKED) continue;
      const extra = drawPoisson(random, counts * (down[n] ?? 0) * (across[m] ?? 0));
      pixels[at] = Math.min(BRIGHTEST, (pixels[at] ?? 0) + extra);
    }
  }
}

function drawBackground(bank: Bank, random: Random): Uint16Array<ArrayBuffer> {
  const { rows, columns } = GEOMETRY;
  // Every byte is overwritten below; zeroing 2 MiB first would cost as much as the copy.
  const bytes = Buffer.allocUnsafeSlow(rows * columns * 2);
  const pixels = new Uint16Array(bytes.buffer, bytes.byteOffset, rows * columns);
  for (let row = 0; row < rows; row += 1) {
    const from = bank[Math.floor(random() * BANK_FRAMES)];
    if (from) pixels.set(from.subarray(row * columns, (row + 1) * columns), row * columns);
  }
  return pixels;
}

/** A detector before a sample, both following from the seed. Creation takes about half a second (the bank). */
export function createDetectorModel(seed: number): DetectorModel {
  const mask = buildMask(GEOMETRY, seed);
  const bank = drawBank(seed, mask);
  const sample = createSample(seed);
  const frame: FrameSource['frame'] = (sequence, position): DetectorFrame => {
    const random = createRandom(seed, 104, sequence, position.row, position.column);
    const pixels = drawBackground(bank, random);
    const truth = random() < sample.hitProbability(position) ? drawSpots(mask, random) : [];
    for (const spot of truth) addSpot(pixels, spot, random);
    const bytes = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
    return { shape: [GEOMETRY.rows, GEOMETRY.columns], dtype: 'uint16', bytes, beamCentre: GEOMETRY.beamCentre, truth };
  };
  return { name: 'model', frame, sample };
}
