/** How long an urgent job waits in a full Slurm until its script writes its first line: through the gateway, to a plain sbatch of the same user, in pairs. Issue 4, figures. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { whyNoSlurm } from '../../test/servers/slurm/packages.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval } from '../paired-rounds.ts';
import { type SlurmSystem, slurmSystem } from './slurm-system.ts';

const PAIRS = 30;
const PATIENCE_MS = 40_000;

/** Victims: as many as fill the cluster twice, so that it is full again while the preempted ones wait out their hold-off. */
async function fill({ slurm }: SlurmSystem): Promise<void> {
  const args = [
    '--uid=bw-demo',
    '--gid=bw-demo',
    '--account=demo',
    '--qos=batch',
    '-N1',
    '--exclusive',
    '-t',
    '60',
    '-D',
    '/tmp',
    '-o',
    '/dev/null',
    '--wrap',
    'exec sleep 3600',
  ];
  for (let i = 0; i < 12; i++) await slurm.command('/usr/bin/sbatch', ...args);
}

async function full({ slurm }: SlurmSystem): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  while ((await slurm.command('/usr/bin/sinfo', '-h', '-N', '-t', 'alloc', '-o', '%N')).trim().split('\n').length < 4) {
    if (performance.now() > until) throw new Error('the cluster did not fill');
    await pause(100);
  }
  await pause(300);
}

/** From the call until the time that the script wrote, ms. One clock: one machine. */
async function startOf(mark: string, submit: () => Promise<unknown>): Promise<number> {
  rmSync(mark, { force: true });
  const began = Date.now();
  await submit();
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      const at = Number(readFileSync(mark, 'utf8'));
      if (at > 0) return at * 1000 - began;
    } catch {
      // not yet
    }
    if (performance.now() > until) throw new Error('the urgent job did not start');
    await pause(10);
  }
}

async function urgentStart(context: BenchContext): Promise<FigureOutcome> {
  const reason = whyNoSlurm();
  if (reason !== undefined) return { kind: 'skipped', reason };
  const system = await slurmSystem(context);
  const { slurm, marks } = system;
  await fill(system);
  const script = (mark: string): string => `#!/bin/sh\ndate +%s.%N > ${mark}\n`;
  const [ours, theirs] = [join(marks, 'gateway'), join(marks, 'sbatch')];
  const ways = {
    gateway: () =>
      startOf(ours, () =>
        system.submit({ tier: 'urgent', nodes: 2, slotsPerNode: 4, script: script(ours), timeLimitSeconds: 60 }),
      ),
    sbatch: () =>
      startOf(theirs, () =>
        slurm.command(
          '/usr/bin/sbatch',
          '--uid=bw-demo',
          '--gid=bw-demo',
          '--account=demo',
          '--qos=urgent',
          '-N2',
          '--ntasks-per-node=4',
          '-t',
          '1',
          '-D',
          '/tmp',
          '-o',
          '/dev/null',
          '--wrap',
          `date +%s.%N > ${theirs}`,
        ),
      ),
  };
  const took = { gateway: [] as number[], sbatch: [] as number[] };
  for (let pair = 0; pair < PAIRS; pair++) {
    const order = pair % 2 === 0 ? (['gateway', 'sbatch'] as const) : (['sbatch', 'gateway'] as const);
    for (const way of order) {
      await full(system);
      took[way].push(await ways[way]());
    }
    context.log(
      `slurm-urgent-start: pair ${pair + 1}: gateway ${took.gateway.at(-1)?.toFixed(0)} ms, sbatch ${took.sbatch.at(-1)?.toFixed(0)} ms`,
    );
  }
  await slurm.command('/usr/bin/scancel', '--user=bw-demo');
  const ratios = took.gateway.map((ms, i) => ms / (took.sbatch[i] ?? Number.NaN));
  const told = (values: readonly number[]): string =>
    `p50 ${median(values).toFixed(0)} ms, max ${Math.max(...values).toFixed(0)} ms`;
  return {
    kind: 'measured',
    result: {
      figure: 'slurm-urgent-start',
      value: median(ratios),
      unit: 'x',
      comparator: 'plain sbatch, same user and size',
      goal: { max: 1.1 },
      rounds: ratios.length,
      spread: medianInterval(ratios),
      resolved: isResolved(ratios),
      detail: { gateway: told(took.gateway), sbatch: told(took.sbatch) },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'slurm-urgent-start',
    group: 'slurm',
    title: 'Urgent job through the gateway to plain sbatch, in a full Slurm',
    run: urgentStart,
  },
];
