// A detector frame as a picture: log scale, dark spots on light, masked pixels tinted; found peaks circled, true spots in corners.
// Owns no state. The PNG lies inside an SVG whose units are the frame's pixels, so marks are placed by their coordinates.
import { coordinate, escapeText } from './markup.ts';
import { type Colour, encodePng, pngDataUri } from './png.ts';
import type { ReportFrame } from './report-input.ts';

export type Window = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };

export type PictureOptions = {
  readonly window: Window;
  /** Longest side of the PNG; a larger frame is reduced, the brightest pixel of each block winning, so that no spot vanishes. */
  readonly mostPixels: number;
  /** Radius of a found peak's circle, in frame pixels. */
  readonly markRadius: number;
  readonly alt: string;
};

/** Levels of grey: fewer compress better, and nobody sees more in noise. */
const LEVELS = 96;
const MASKED_LEVEL = LEVELS;
const PALETTE: readonly Colour[] = [
  ...Array.from({ length: LEVELS }, (_, level): Colour => {
    const grey = Math.round(255 * (1 - level / (LEVELS - 1)) ** 0.9);
    return [grey, grey, grey];
  }),
  [214, 196, 158],
];
const SAMPLED = 20_011;

function viewPixels(frame: ReportFrame): Uint16Array | Int32Array {
  const bytes = Uint8Array.from(frame.bytes);
  return frame.dtype === 'uint16' ? new Uint16Array(bytes.buffer) : new Int32Array(bytes.buffer);
}

function saturationOf(frame: ReportFrame): number {
  return frame.saturation ?? (frame.dtype === 'uint16' ? 65535 : 2147483647);
}

/** Counts at which the picture is white and black: low and very high quantiles of a spread of usable pixels. */
function contrast(
  pixels: Uint16Array | Int32Array,
  saturation: number,
): { readonly low: number; readonly high: number } {
  const step = Math.max(1, Math.floor(pixels.length / SAMPLED));
  const sample: number[] = [];
  for (let at = 0; at < pixels.length; at += step) {
    const value = pixels[at] ?? -1;
    if (value >= 0 && value < saturation) sample.push(value);
  }
  sample.sort((left, right) => left - right);
  const low = sample[Math.floor(sample.length * 0.05)] ?? 0;
  const typical = sample[Math.floor(sample.length * 0.98)] ?? 1;
  return { low, high: Math.max(low + 8, low + 7 * (typical - low)) };
}

type Picture = { readonly indices: Uint8Array; readonly width: number; readonly step: number };

function reduce(frame: ReportFrame, options: PictureOptions): Picture {
  const pixels = viewPixels(frame);
  const columns = frame.shape[1];
  const saturation = saturationOf(frame);
  const { low, high } = contrast(pixels, saturation);
  const scale = (LEVELS - 1) / Math.log1p(high - low);
  const { window } = options;
  const step = Math.max(1, Math.ceil(Math.max(window.width, window.height) / options.mostPixels));
  const [width, height] = [Math.floor(window.width / step), Math.floor(window.height / step)];
  const indices = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let brightest = -1;
      for (let n = 0; n < step * step; n += 1) {
        const row = window.y + y * step + Math.floor(n / step);
        const value = pixels[row * columns + window.x + x * step + (n % step)] ?? -1;
        if (value < saturation && value > brightest) brightest = value;
      }
      const level = Math.round(scale * Math.log1p(Math.max(0, brightest - low)));
      indices[y * width + x] = brightest < 0 ? MASKED_LEVEL : Math.min(LEVELS - 1, level);
    }
  }
  return { indices, width, step };
}

function isInside(window: Window, x: number, y: number): boolean {
  return x >= window.x && y >= window.y && x < window.x + window.width && y < window.y + window.height;
}

/** The four corners of a square around a true spot: they leave the spot and its circle in view. */
function corners(x: number, y: number, half: number): string {
  const arm = half * 0.55;
  const corner = (sx: number, sy: number): string =>
    `M${coordinate(x + sx * half)} ${coordinate(y + sy * (half - arm))}v${coordinate(sy * arm)}h${coordinate(-sx * arm)}`;
  return corner(-1, -1) + corner(1, -1) + corner(-1, 1) + corner(1, 1);
}

/** Whole frame as a window. */
export function wholeFrame(frame: ReportFrame): Window {
  return { x: 0, y: 0, width: frame.shape[1], height: frame.shape[0] };
}

/** A square window of `size` pixels that holds as many found peaks as can be had around one of them. */
export function busiestWindow(frame: ReportFrame, size: number): Window {
  const [rows, columns] = frame.shape;
  const [width, height] = [Math.min(size, columns), Math.min(size, rows)];
  let best: { readonly window: Window; readonly count: number } = { window: { x: 0, y: 0, width, height }, count: -1 };
  for (const [x, y] of frame.peaks.slice(0, 200)) {
    const left = Math.round(Math.max(0, Math.min(columns - width, x - width / 2)));
    const top = Math.round(Math.max(0, Math.min(rows - height, y - height / 2)));
    const window = { x: left, y: top, width, height };
    const count = frame.peaks.filter((peak) => isInside(window, peak[0], peak[1])).length;
    if (count > best.count) best = { window, count };
  }
  return best.window;
}

/** SVG with the frame's window as a PNG and the marks over it. */
export function drawFrame(frame: ReportFrame, options: PictureOptions): string {
  const { window, markRadius } = options;
  const picture = reduce(frame, options);
  const uri = pngDataUri(encodePng(picture.indices, picture.width, PALETTE));
  const [width, height] = [picture.width * picture.step, (picture.indices.length / picture.width) * picture.step];
  // A pixel's centre has whole coordinates, its corner lies half a pixel before.
  const box = `${window.x - 0.5} ${window.y - 0.5} ${width} ${height}`;
  const place = `x="${window.x - 0.5}" y="${window.y - 0.5}" width="${width}" height="${height}"`;
  const circles = frame.peaks
    .filter((peak) => isInside(window, peak[0], peak[1]))
    .map((peak) => `<circle cx="${coordinate(peak[0])}" cy="${coordinate(peak[1])}" r="${coordinate(markRadius)}"/>`);
  const truth = (frame.truth ?? [])
    .filter((spot) => isInside(window, spot.x, spot.y))
    .map((spot) => corners(spot.x, spot.y, markRadius * 1.25));
  return [
    `<svg class="frame" viewBox="${box}" role="img" aria-label="${escapeText(options.alt)}">`,
    `<image href="${uri}" ${place} preserveAspectRatio="none"/>`,
    truth.length > 0 ? `<path class="true-spot" d="${truth.join('')}"/>` : '',
    circles.length > 0 ? `<g class="found-peak">${circles.join('')}</g>` : '',
    '</svg>',
  ].join('');
}
