/**
 * The contract of every benchmark: what a figure is, what it gets and what it returns. See README.md.
 * Owns no state. Issue 2, "Figures to reach and to print".
 */
import type { ChildProcess } from 'node:child_process';

/** One JSON line of `bench/results.jsonl`. */
export interface FigureResult {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  /** What the value is a ratio to, from the same run; absent for absolute values. */
  readonly comparator?: string;
  readonly goal?: { readonly min?: number; readonly max?: number };
  /** Paired, interleaved rounds the value is the median of. */
  readonly rounds: number;
  /** 95 % interval of the median (ratios), or least and greatest (absolute values). */
  readonly spread: readonly [number, number];
  /** False when the interval did not get as narrow as `intervalGoal` asks; the value then proves nothing. */
  readonly resolved?: boolean;
  /** Medians of the single paths and whatever a reader needs to judge the value. */
  readonly detail?: Readonly<Record<string, number | string>>;
}

export type FigureOutcome =
  | { readonly kind: 'measured'; readonly result: FigureResult }
  /** Not run here; `reason` says what is missing and how to get it. */
  | { readonly kind: 'skipped'; readonly reason: string };

export interface BenchContext {
  /** Progress for the person who waits; goes to stderr. */
  log(line: string): void;
  /** Started processes that must not outlive the run; ended by their pid when it ends. */
  track(child: ChildProcess): ChildProcess;
  /** To be run at the end, in reverse order, whatever happened: stop a server, remove a folder. */
  defer(action: () => void | Promise<void>): void;
  /** Least and most rounds of a paired comparison (BENCH_ROUNDS=min:max). */
  readonly rounds: { readonly min: number; readonly max: number };
}

export interface BenchFigure {
  /** kebab-case and unique; what ONLY= takes. */
  readonly name: string;
  /** Figures that belong together; ONLY= takes it too. */
  readonly group: string;
  readonly title: string;
  run(context: BenchContext): Promise<FigureOutcome>;
}

/** Whether a value keeps its goal; true without one. */
export function reachesGoal({ value, goal }: FigureResult): boolean {
  return value >= (goal?.min ?? Number.NEGATIVE_INFINITY) && value <= (goal?.max ?? Number.POSITIVE_INFINITY);
}
