/**
 * `make soak`: runs every soak (or ONLY=name), keeps progress in .state/soak, writes test/soak/report.json, which is committed. SEED=n chooses the
 * inputs; the default is the last report's, so that a repetition is comparable. Exit 1 where a promise was broken.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jobCycles } from './job-cycles.ts';
import { propertyRuns } from './property-runs.ts';
import { rabbitmqCycles } from './rabbitmq-cycles.ts';
import { redisCycles } from './redis-cycles.ts';
import { relayFrames } from './relay-frames.ts';
import type { Soak } from './soak.ts';
import { streamCycles } from './stream-cycles.ts';

const SOAKS: readonly Soak[] = [streamCycles, redisCycles, rabbitmqCycles, relayFrames, jobCycles, ...propertyRuns];
const here = import.meta.dirname;
const progressDir = join(here, '../../.state/soak');
const reportFile = join(here, 'report.json');

interface Progress {
  readonly seed: number;
  readonly done: number;
  readonly seconds: number;
  readonly figures: Readonly<Record<string, number>>;
}

interface Report {
  readonly seed: number;
  readonly soaks: Readonly<
    Record<
      string,
      Progress & {
        readonly promise: string;
        readonly unit: string;
        readonly total: number;
        readonly finishedAt: string;
        readonly outcome: string;
      }
    >
  >;
}

function read<T>(path: string, fallback: T): T {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return fallback;
  }
}

function write(path: string, value: object): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

const previous = read<Report>(reportFile, { seed: 1, soaks: {} });
const seed = Number(process.env['SEED'] || previous.seed);
const only = process.env['ONLY'] || undefined;
const chosen = SOAKS.filter((soak) => only === undefined || soak.name === only);
if (chosen.length === 0 || !Number.isSafeInteger(seed)) {
  process.stderr.write(`soak: ONLY is one of ${SOAKS.map((s) => s.name).join(', ')}; SEED is a whole number\n`);
  process.exit(2);
}
mkdirSync(progressDir, { recursive: true });
let broken = 0;
let interrupted = false;
process.once('SIGINT', () => {
  interrupted = true;
});

for (const soak of chosen) {
  const progressFile = join(progressDir, `${soak.name}.json`);
  const kept = read<Progress>(progressFile, { seed, done: 0, seconds: 0, figures: {} });
  let progress: Progress =
    kept.seed === seed && kept.done < soak.total ? kept : { seed, done: 0, seconds: 0, figures: {} };
  process.stdout.write(
    `${soak.name}: ${soak.total} ${soak.unit}; ${soak.promise}${progress.done > 0 ? ` (going on at ${progress.done})` : ''}\n`,
  );
  let outcome = 'kept';
  try {
    while (progress.done < soak.total && !interrupted) {
      const began = performance.now();
      const count = Math.min(soak.chunk, soak.total - progress.done);
      const index = Math.floor(progress.done / soak.chunk);
      const figures = await soak.run({ seed, log: (line) => process.stdout.write(`  ${line}\n`) }, { index, count });
      const sum = { ...progress.figures };
      for (const [name, value] of Object.entries(figures))
        sum[name] = name.startsWith('most') ? Math.max(sum[name] ?? 0, value) : (sum[name] ?? 0) + value;
      progress = {
        seed,
        done: progress.done + count,
        seconds: progress.seconds + (performance.now() - began) / 1000,
        figures: sum,
      };
      write(progressFile, progress);
      process.stdout.write(
        `  ${progress.done} of ${soak.total}, ${progress.seconds.toFixed(0)} s ${JSON.stringify(progress.figures)}\n`,
      );
    }
  } catch (failure) {
    broken += 1;
    outcome = `BROKEN: ${failure instanceof Error ? failure.message : String(failure)}`;
    process.stdout.write(`  ${outcome}\n`);
  } finally {
    await soak.close?.();
  }
  if (interrupted) break;
  const report = read<Report>(reportFile, previous);
  const { promise, unit, total } = soak;
  const entry = {
    promise,
    unit,
    total,
    ...progress,
    seconds: Math.round(progress.seconds),
    outcome,
    finishedAt: new Date().toISOString(),
  };
  write(reportFile, { seed, soaks: { ...report.soaks, [soak.name]: entry } });
}
process.stdout.write(
  interrupted
    ? 'soak: interrupted; run it again to go on\n'
    : `soak: ${chosen.length - broken} of ${chosen.length} promises kept; test/soak/report.json\n`,
);
process.exit(broken > 0 || interrupted ? 1 : 0);
