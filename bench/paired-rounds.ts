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

export type Round<Path extends string, Sample> = Readonly<Partial<Record<Path, Sample>>>;

export interface RoundsOptions<Path extends string, Sample> {
  /** What the next round measures; undefined ends the comparison. Asked before every round, with all rounds so far. */
  readonly next: (rounds: readonly Round<Path, Sample>[]) => readonly Path[] | undefined;
  readonly measure: (path: Path) => Promise<Sample>;
  readonly describe: (sample: Sample) => string;
}

/** Runs rounds until `next` ends them; within a round the paths are rotated, and reversed every other time. */
export async function runRounds<Path extends string, Sample>(
  context: BenchContext,
  options: RoundsOptions<Path, Sample>,
): Promise<readonly Round<Path, Sample>[]> {
  const rounds: Round<Path, Sample>[] = [];
  for (let paths = options.next(rounds); paths !== undefined; paths = options.next(rounds)) {
    const at = rounds.length % paths.length;
    const rotated = [...paths.slice(at), ...paths.slice(0, at)];
    const round: Partial<Record<Path, Sample>> = {};
    for (const path of rounds.length % 2 === 0 ? rotated : rotated.reverse()) {
      const sample = await options.measure(path);
      round[path] = sample;
    }
    rounds.push(round);
    const shown = paths.flatMap((path) => {
      const sample = round[path];
      return sample === undefined ? [] : [`${path} ${options.describe(sample)}`];
    });
    context.log(`  round ${rounds.length}: ${shown.join('  ')}`);
  }
  return rounds;
}

/** `a / b` of every round that measured both. */
export function ratios<Path extends string, Sample>(
  rounds: readonly Round<Path, Sample>[],
  pair: { readonly of: Path; readonly to: Path; readonly value: (sample: Sample) => number },
): readonly number[] {
  return rounds.flatMap((round) => {
    const { [pair.of]: a, [pair.to]: b } = round;
    return a === undefined || b === undefined ? [] : [pair.value(a) / pair.value(b)];
  });
}

export interface PairedOptions<Path extends string, Sample> {
  readonly paths: readonly Path[];
  readonly measure: (path: Path) => Promise<Sample>;
  /** Asked after every round past the least number. */
  readonly enough: (rounds: readonly Readonly<Record<Path, Sample>>[]) => boolean;
  readonly describe: (sample: Sample) => string;
}

/** `runRounds` with all paths in every round, until `enough` or the most rounds of the context. */
export async function runPaired<Path extends string, Sample>(
  context: BenchContext,
  options: PairedOptions<Path, Sample>,
): Promise<{ readonly rounds: readonly Readonly<Record<Path, Sample>>[] }> {
  const { min, max } = context.rounds;
  const whole = (rounds: readonly Round<Path, Sample>[]) => rounds as readonly Readonly<Record<Path, Sample>>[];
  const rounds = await runRounds<Path, Sample>(context, {
    measure: options.measure,
    describe: options.describe,
    next: (soFar) =>
      soFar.length < max && (soFar.length < min || !options.enough(whole(soFar))) ? options.paths : undefined,
  });
  return { rounds: whole(rounds) };
}
