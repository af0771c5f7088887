// Which Bragg reflections of a randomly turned crystal meet the Ewald sphere, and how strong each is.
// Owns no state. A still frame of a monochromatic beam along +z: q fulfils |q + k0| = |k0| within the crystal's mosaic width.
// For each (h, k) the two crossings of the line q(l) with the sphere are solved, so the cost is that of a plane, not of the volume.
import type { Geometry } from './geometry.ts';
import { drawExponential, drawNormal, type Random } from './random.ts';

/** Tetragonal hen egg-white lysozyme, the usual test crystal, in angstrom. */
const CELL = { a: 79.1, b: 79.1, c: 37.9 } as const;
/** Standard deviation and cut of the excitation error, 1/angstrom; sets how many reflections a still shows. */
const MOSAIC_WIDTH = 3e-4;
const MOSAIC_CUT = 5.5e-4;
/** Fall-off of intensity with resolution, angstrom squared. */
const B_FACTOR = 18;
/** Highest resolution searched, angstrom: the detector's corners. */
const RESOLUTION_LIMIT = 2.1;

type Vector = readonly [number, number, number];

export type Reflection = {
  readonly x: number;
  readonly y: number;
  /** Relative intensity: Wilson-distributed with mean 1, times partiality, resolution fall-off and crystal size. */
  readonly intensity: number;
};

function drawRotation(random: Random): readonly [Vector, Vector, Vector] {
  const draw = [drawNormal(random), drawNormal(random), drawNormal(random), drawNormal(random)] as const;
  const norm = Math.hypot(...draw);
  const [w, i, j, k] = [draw[0] / norm, draw[1] / norm, draw[2] / norm, draw[3] / norm];
  return [
    [1 - 2 * (j * j + k * k), 2 * (i * j + w * k), 2 * (i * k - w * j)],
    [2 * (i * j - w * k), 1 - 2 * (i * i + k * k), 2 * (j * k + w * i)],
    [2 * (i * k + w * j), 2 * (j * k - w * i), 1 - 2 * (i * i + j * j)],
  ];
}

function scaled(vector: Vector, factor: number): Vector {
  return [vector[0] * factor, vector[1] * factor, vector[2] * factor];
}

/** Whole l next to the crossings of p + l*c with the Ewald sphere; none when the line misses it. */
function crossings(p: Vector, c: Vector, k0: number): readonly number[] {
  const square = c[0] * c[0] + c[1] * c[1] + c[2] * c[2];
  const half = p[0] * c[0] + p[1] * c[1] + (p[2] + k0) * c[2];
  const rest = p[0] * p[0] + p[1] * p[1] + p[2] * p[2] + 2 * p[2] * k0;
  const discriminant = half * half - square * rest;
  if (discriminant < 0) return [];
  const root = Math.sqrt(discriminant);
  return [Math.round((-half - root) / square), Math.round((-half + root) / square)];
}

/** The reflections of one crystal in a random orientation that fall on the detector. */
export function drawReflections(geometry: Geometry, random: Random): readonly Reflection[] {
  const [ea, eb, ec] = drawRotation(random);
  const [a, b, c] = [scaled(ea, 1 / CELL.a), scaled(eb, 1 / CELL.b), scaled(ec, 1 / CELL.c)];
  const crystalSize = 0.6 + 0.9 * random();
  const k0 = 1 / geometry.wavelengthAngstrom;
  const limit = Math.ceil(CELL.a / RESOLUTION_LIMIT);
  const pixelsPerSlope = geometry.distanceMm / geometry.pixelSizeMm;
  const found: Reflection[] = [];
  for (let h = -limit; h <= limit; h += 1) {
    for (let k = -limit; k <= limit; k += 1) {
      const p: Vector = [h * a[0] + k * b[0], h * a[1] + k * b[1], h * a[2] + k * b[2]];
      for (const l of crossings(p, c, k0)) {
        if (h === 0 && k === 0 && l === 0) continue;
        const q: Vector = [p[0] + l * c[0], p[1] + l * c[1], p[2] + l * c[2]];
        const squared = q[0] * q[0] + q[1] * q[1] + q[2] * q[2];
        const forward = q[2] + k0;
        if (squared > 1 / RESOLUTION_LIMIT ** 2 || forward <= 0) continue;
        const excitation = Math.hypot(q[0], q[1], forward) - k0;
        if (Math.abs(excitation) > MOSAIC_CUT) continue;
        const x = geometry.beamCentre.x + (q[0] / forward) * pixelsPerSlope;
        const y = geometry.beamCentre.y + (q[1] / forward) * pixelsPerSlope;
        const partiality = Math.exp(-0.5 * (excitation / MOSAIC_WIDTH) ** 2);
        const falloff = Math.exp((-B_FACTOR * squared) / 2);
        const intensity = crystalSize * drawExponential(random) * partiality * falloff;
        if (x >= 0 && y >= 0 && x < geometry.columns && y < geometry.rows) found.push({ x, y, intensity });
      }
    }
  }
  return found;
}
