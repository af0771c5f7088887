/**
 * Runs figures, writes `bench/results.jsonl`, prints a table and says which figures miss their goal.
 * `node bench/run.ts [name|group]...`, or ONLY=name,group; exit 0 when all ran, 1 when one failed (a missed goal is printed, not a failure).
 * Owns what the figures start: everything is ended by its pid when the run ends, by SIGINT too.
 */
import type { ChildProcess } from 'node:child_process';
import { globSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type BenchContext, type BenchFigure, type FigureOutcome, type FigureResult, reachesGoal } from './figure.ts';
import { watchMachine } from './machine-state.ts';

const here = import.meta.dirname;

async function loadFigures(): Promise<readonly BenchFigure[]> {
  const figures: BenchFigure[] = [];
  for (const file of globSync('*/*.ts', { cwd: here }).sort()) {
    if (file.endsWith('.test.ts')) continue;
    const loaded = (await import(path.join(here, file))) as { readonly figures?: readonly BenchFigure[] };
    figures.push(...(loaded.figures ?? []));
  }
  return figures;
}

function openContext(): { readonly context: BenchContext; end(): Promise<void> } {
  const children = new Set<ChildProcess>();
  const actions: (() => void | Promise<void>)[] = [];
  const [min = 7, max = 40] = (process.env['BENCH_ROUNDS'] ?? '').split(':').filter(Boolean).map(Number);
  return {
    context: {
      rounds: { min, max: Math.max(min, max) },
      log: (line) => void process.stderr.write(`${line}\n`),
      defer: (action) => void actions.push(action),
      track(child) {
        children.add(child);
        child.once('exit', () => children.delete(child));
        return child;
      },
    },
    async end() {
      for (const action of actions.reverse()) await action();
      actions.length = 0;
      for (const child of children) child.kill('SIGKILL');
    },
  };
}

function verdict(result: FigureResult): string {
  if (result.resolved === false) return 'not resolved';
  if (result.goal === undefined) return '';
  return reachesGoal(result) ? 'ok' : 'MISSES ITS GOAL';
}

function row(figure: BenchFigure, outcome: FigureOutcome | Error): readonly string[] {
  if (outcome instanceof Error) return [figure.name, 'failed', '', '', '', outcome.message];
  if (outcome.kind === 'skipped') return [figure.name, 'skipped', '', '', '', outcome.reason];
  const { result } = outcome;
  const bound =
    result.goal === undefined
      ? ''
      : Object.entries(result.goal)
          .map(([side, value]) => `${side} ${value}`)
          .join(' ');
  const spread = `${show(result.spread[0])}..${show(result.spread[1])} (${result.rounds})`;
  return [
    result.figure,
    `${show(result.value)} ${result.unit}`,
    spread,
    bound,
    result.comparator ?? '',
    verdict(result),
  ];
}

function show(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

function printTable(rows: readonly (readonly string[])[]): void {
  const all = [['figure', 'value', 'spread (rounds)', 'goal', 'comparator', ''], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0))) ?? [];
  for (const cells of all)
    console.log(
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

const wanted = [...process.argv.slice(2), ...(process.env['ONLY'] ?? '').split(',')].filter(Boolean);
const all = await loadFigures();
const figures = all.filter(({ name, group }) => wanted.length === 0 || wanted.includes(name) || wanted.includes(group));
const unknown = wanted.filter((word) => !all.some(({ name, group }) => name === word || group === word));
if (unknown.length > 0 || figures.length === 0) {
  console.error(`no figure or group ${unknown.join(', ')}; there are: ${all.map(({ name }) => name).join(' ')}`);
  process.exit(2);
}

const { context, end } = openContext();
const machine = watchMachine();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end().then(() => process.exit(1)));
const rows: (readonly string[])[] = [];
const lines: string[] = [];
let failed = false;
try {
  for (const figure of figures) {
    context.log(`${figure.name}: ${figure.title}`);
    const outcome = await figure
      .run(context)
      .catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
    if (outcome instanceof Error) {
      failed = true;
      context.log(outcome.stack ?? outcome.message);
    } else if (outcome.kind === 'measured') lines.push(JSON.stringify(outcome.result));
    else lines.push(JSON.stringify({ figure: figure.name, skipped: outcome.reason }));
    rows.push(row(figure, outcome));
  }
} finally {
  await end();
}
writeFileSync(path.join(here, 'results.jsonl'), `${lines.join('\n')}\n`);
printTable(rows);
console.log(machine());
for (const line of lines) {
  const { figure, detail } = JSON.parse(line) as FigureResult;
  if (detail !== undefined)
    console.log(
      `${figure}: ${Object.entries(detail)
        .map(([key, value]) => `${key} ${value}`)
        .join(', ')}`,
    );
}
const missed = lines
  .map((line) => JSON.parse(line) as FigureResult)
  .filter((result) => result.goal && (result.resolved === false || !reachesGoal(result)));
console.log(
  missed.length === 0
    ? 'no figure misses its goal'
    : `missed or not resolved: ${missed.map(({ figure }) => figure).join(', ')}`,
);
process.exit(failed ? 1 : 0);
