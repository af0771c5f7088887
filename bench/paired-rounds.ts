/**
 * Statistics of paired, interleaved rounds: every round measures every path once, in a new order, and only ratios within
 * a round are compared, because other work on the machine moves all paths of a round together.
 * Owns no state. Medians with distribution-free intervals (order statistics of the binomial distribution).
 */
import type { BenchContext } from './figure.ts';

/** Half-width of the 95 % interval at which a ratio counts as resolved. */
export const intervalGoal = 0.05;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** At least 95 % interval of the median; the whole range for fewer than six values, which cannot give one. */
export function medianInterval(values: readonly number[]): readonly [number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  // The k-th least and k-th greatest value enclose the median with probability 1 - 2 P(Binomial(n, 1/2) < k).
  let outside = 0;
  let term = 0.5 ** n;
  let k = 0;
  while (k < n / 2) {
    if (2 * (outside + term) > 0.05) break;
    outside += term;
    term = (term * (n - k)) / (k + 1);
    k += 1;
  }
  const at = Math.max(0, k - 1);
  return [sorted[at] ?? Number.NaN, sorted[n - 1 - at] ?? Number.NaN];
}

/** True when there are enough values and the 95 % interval of their median is within +-`intervalGoal` of it. */
export function isResolved(ratios: readonly number[]): boolean {
  const [low, high] = medianInterval(ratios);
  const middle = median(ratios);
  return ratios.length >= 6 && high - middle <= intervalGoal && middle - low <= intervalGoal;
}

export interface Paired<Path extends string, Sample> {
  /** One entry per round. */
  readonly rounds: readonly Readonly<Record<Path, Sample>>[];
}

export interface PairedOptions<Path extends string, Sample> {
  readonly paths: readonly Path[];
  readonly measure: (path: Path) => Promise<Sample>;
  /** Asked after every round past the least number. */
  readonly enough: (rounds: readonly Readonly<Record<Path, Sample>>[]) => boolean;
  readonly describe: (sample: Sample) => string;
}

/** Runs rounds until `enough` or the most rounds; the order of the paths is rotated and reversed from round to round. */
export async function runPaired<Path extends string, Sample>(
  context: BenchContext,
  options: PairedOptions<Path, Sample>,
): Promise<Paired<Path, Sample>> {
  const rounds: Readonly<Record<Path, Sample>>[] = [];
  const { min, max } = context.rounds;
  while (rounds.length < max && (rounds.length < min || !options.enough(rounds))) {
    const at = rounds.length % options.paths.length;
    const rotated = [...options.paths.slice(at), ...options.paths.slice(0, at)];
    const round: Partial<Record<Path, Sample>> = {};
    for (const path of rounds.length % 2 === 0 ? rotated : rotated.reverse()) round[path] = await options.measure(path);
    rounds.push(round as Record<Path, Sample>);
    const shown = options.paths.map((path) => `${path} ${options.describe((round as Record<Path, Sample>)[path])}`);
    context.log(`  round ${rounds.length}: ${shown.join('  ')}`);
  }
  return { rounds };
}
