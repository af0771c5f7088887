// Seeded random numbers: uniform, exponential, normal and exact Poisson draws.
// A stream of numbers is named by whole numbers (seed, purpose, index), so that frame n is the same whatever was drawn before it.
// sfc32 is Chris Doty-Humphrey's generator; Poisson draws above a mean of 10 are Hoermann's PTRS (1993), below it plain inversion.

/** Uniform draw in [0, 1). */
export type Random = () => number;

/** Spreads whole numbers over 32 bits so that neighbouring seeds give unrelated streams. */
function mix(parts: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const part of parts) {
    hash = Math.imul(hash ^ (part | 0), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash | 0;
}

/** A random stream named by whole numbers; equal names give equal streams. */
export function createRandom(...name: readonly number[]): Random {
  let a = mix([...name, 1]);
  let b = mix([...name, 2]);
  let c = mix([...name, 3]);
  let counter = 1;
  const next: Random = () => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    c |= 0;
    return (t >>> 0) / 4294967296;
  };
  for (let warm = 0; warm < 12; warm += 1) next();
  return next;
}

export function drawExponential(random: Random): number {
  return -Math.log(1 - random());
}

export function drawNormal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}

const FACTORIAL_TABLE = 10;
const logFactorials: number[] = [0];
for (let n = 1; n < FACTORIAL_TABLE; n += 1) logFactorials.push((logFactorials[n - 1] ?? 0) + Math.log(n));

/** ln(n!), by table below 10 and by Stirling's series above (error < 1e-8). */
function logFactorial(n: number): number {
  if (n < FACTORIAL_TABLE) return logFactorials[n] ?? 0;
  const m = n + 1;
  return (m - 0.5) * Math.log(m) - m + 0.9189385332046727 + 1 / (12 * m) - 1 / (360 * m * m * m);
}

function drawSmallPoisson(random: Random, mean: number): number {
  let term = Math.exp(-mean);
  let left = random();
  let count = 0;
  while (left > term && count < 200) {
    left -= term;
    count += 1;
    term *= mean / count;
  }
  return count;
}

/** A count with the given mean (>= 0), exactly Poisson distributed. */
export function drawPoisson(random: Random, mean: number): number {
  if (mean <= 0) return 0;
  if (mean < 10) return drawSmallPoisson(random, mean);
  const b = 0.931 + 2.53 * Math.sqrt(mean);
  const a = -0.059 + 0.02483 * b;
  const inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
  const accept = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const u = random() - 0.5;
    const v = random();
    const distance = 0.5 - Math.abs(u);
    const count = Math.floor(((2 * a) / distance + b) * u + mean + 0.43);
    if (distance >= 0.07 && v <= accept) return count;
    if (count < 0 || (distance < 0.013 && v > distance)) continue;
    const bound = Math.log((v * inverseAlpha) / (a / (distance * distance) + b));
    if (bound <= count * Math.log(mean) - mean - logFactorial(count)) return count;
  }
}
