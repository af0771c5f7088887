/** The properties and crash tests of `make test`, at counts that take minutes: the same files, told to do more. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Soak } from './soak.ts';

const root = resolve(import.meta.dirname, '../..');

interface Larger {
  readonly name: string;
  readonly promise: string;
  readonly unit: string;
  readonly files: readonly string[];
  readonly variable: string;
  readonly total: number;
}

const LARGER: readonly Larger[] = [
  {
    name: 'batch-properties',
    promise: 'no slot is given twice, backfill never delays the head, every job ends once',
    unit: 'workloads per property',
    files: ['src/batch/decide.properties.test.ts'],
    variable: 'BEAMWAY_SOAK_RUNS',
    total: 10_000,
  },
  {
    name: 'zmtp-fuzz',
    promise: 'the ZMTP parsers survive any bytes, split anywhere',
    unit: 'inputs per property',
    files: ['src/dsn/zmtp/scan-frames.test.ts', 'src/dsn/zmtp/read-frames.test.ts', 'src/dsn/zmtp/handshake.test.ts'],
    variable: 'BEAMWAY_SOAK_RUNS',
    total: 20_000,
  },
  {
    name: 'scheduler-kills',
    promise: 'kill -9 of the scheduler loses no acknowledged job and runs no attempt twice',
    unit: 'kills',
    files: ['src/compute/local/crash.test.ts'],
    variable: 'BEAMWAY_SOAK_KILLS',
    total: 60,
  },
];

export const propertyRuns: readonly Soak[] = LARGER.map(({ name, promise, unit, files, variable, total }) => ({
  name,
  promise,
  unit,
  total,
  chunk: total,
  async run(_context, { count }) {
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--test', '--test-reporter=dot', ...files],
      {
        cwd: root,
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, [variable]: String(count) },
      },
    );
    const [code] = await once(child, 'exit');
    if (code !== 0)
      throw new Error(
        `${files.join(' ')} with ${variable}=${count} exited ${String(code)}; run it by hand to see the counter-example and its seed`,
      );
    return {};
  },
}));
