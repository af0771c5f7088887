// Where the model detector stands, what its background looks like and which pixels it cannot use.
// Owns no state. Lengths in millimetres unless the name says otherwise, wavelengths and cells in angstrom.
// The numbers are those of a 1-Mpixel integrating detector (75 um pixels) at a hard X-ray laser; the paper's LCLStream, section 2.2.
import { createRandom, type Random } from './random.ts';

export type Geometry = {
  readonly rows: number;
  readonly columns: number;
  readonly pixelSizeMm: number;
  readonly distanceMm: number;
  readonly wavelengthAngstrom: number;
  /** Where the direct beam meets the detector, in pixels; a pixel's centre has whole coordinates. */
  readonly beamCentre: { readonly x: number; readonly y: number };
};

export const GEOMETRY: Geometry = {
  rows: 1024,
  columns: 1024,
  pixelSizeMm: 0.075,
  distanceMm: 80,
  wavelengthAngstrom: 1.3,
  beamCentre: { x: 515.3, y: 507.8 },
};

/** The value of a pixel that must not be used: beam stop, dead, hot. As in Eiger files, the largest uint16. */
export const MASKED = 65535;

const BEAM_STOP_RADIUS_PX = 26;
const HOLDER_HALF_WIDTH_PX = 4;
const DEAD_PIXELS = 60;
const HOT_PIXELS = 40;

export function radiusPx(geometry: Geometry, x: number, y: number): number {
  return Math.hypot(x - geometry.beamCentre.x, y - geometry.beamCentre.y);
}

/**
 * Expected background counts per pixel and frame at a radius in pixels: air scatter near the beam, a smooth fall-off, and the broad
 * ring of the liquid the crystals are carried in (3.3 angstrom, at 446 px here). Unpolarised, so it depends on the radius only.
 */
export function expectedBackground(radius: number): number {
  const air = 60 * Math.exp(-radius / 120);
  const smooth = 22 * Math.exp(-radius / 420);
  const ring = 8 * Math.exp(-(((radius - 446) / 60) ** 2));
  return 4 + air + smooth + ring;
}

function scatterMasked(mask: Uint8Array, count: number, random: Random): void {
  for (let n = 0; n < count; n += 1) mask[Math.floor(random() * mask.length)] = 1;
}

/** One byte a pixel, 1 = masked: the beam stop with its holder, and dead and hot pixels at places that follow from the seed. */
export function buildMask(geometry: Geometry, seed: number): Uint8Array {
  const mask = new Uint8Array(geometry.rows * geometry.columns);
  for (let y = 0; y < geometry.rows; y += 1) {
    for (let x = 0; x < geometry.columns; x += 1) {
      const onHolder = y < geometry.beamCentre.y && Math.abs(x - geometry.beamCentre.x) <= HOLDER_HALF_WIDTH_PX;
      if (onHolder || radiusPx(geometry, x, y) <= BEAM_STOP_RADIUS_PX) mask[y * geometry.columns + x] = 1;
    }
  }
  scatterMasked(mask, DEAD_PIXELS + HOT_PIXELS, createRandom(seed, 101));
  return mask;
}
