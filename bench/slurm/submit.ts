/** What the gateway costs at submission: accepted by it (row, audit, job folder, Slurm) to accepted by slurmrestd alone; and 200 at once with each key sent twice. Issue 4, figures. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { whyNoSlurm } from '../../test/servers/slurm/packages.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval } from '../paired-rounds.ts';
import { REST_JOB, type SlurmSystem, slurmSystem } from './slurm-system.ts';

const SCRIPT = '#!/bin/sh\nexit 0\n';
const WARM_UP = 5;
const IN_A_ROUND = 10;
const SUBMITTERS = 200;

const timed = async (act: () => Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await act();
  return performance.now() - began;
};

async function clear({ slurm }: SlurmSystem): Promise<void> {
  await slurm.command('/usr/bin/scancel', '--user=bw-demo');
}

/** One process for each submission, as a gateway does that runs the command line over ssh; ssh itself is not in it. */
async function plainSbatch({ slurm }: SlurmSystem): Promise<void> {
  const args = [
    '--uid=bw-demo',
    '--gid=bw-demo',
    '--account=demo',
    '--qos=batch',
    '--hold',
    '-t',
    '5',
    '-D',
    '/tmp',
    '-o',
    '/dev/null',
    '--wrap',
    'true',
  ];
  const child = spawn('/usr/bin/sbatch', args, { env: { ...slurm.env }, stdio: 'ignore' });
  await once(child, 'close');
}

async function submitLatency(context: BenchContext): Promise<FigureOutcome> {
  const reason = whyNoSlurm();
  if (reason !== undefined) return { kind: 'skipped', reason };
  const system = await slurmSystem(context);
  const held = { tier: 'batch', script: SCRIPT, hold: true, timeLimitSeconds: 300 };
  const all = { gateway: [] as number[], rest: [] as number[], sbatch: [] as number[] };
  const ratios: number[] = [];
  for (let round = -1; round < context.rounds.max; round++) {
    const here = { gateway: [] as number[], rest: [] as number[], sbatch: [] as number[] };
    for (let i = 0; i < (round < 0 ? WARM_UP : IN_A_ROUND); i++) {
      here.gateway.push(await timed(() => system.submit(held)));
      here.rest.push(await timed(() => system.restSubmit({ ...REST_JOB, hold: true }, SCRIPT)));
      if (i < 3) here.sbatch.push(await timed(() => plainSbatch(system)));
    }
    await clear(system);
    if (round < 0) continue;
    for (const name of ['gateway', 'rest', 'sbatch'] as const) all[name].push(...here[name]);
    ratios.push(median(here.gateway) / median(here.rest));
    context.log(`slurm-submit: round ${round + 1}: ${ratios.at(-1)?.toFixed(2)}`);
    if (ratios.length >= context.rounds.min && isResolved(ratios)) break;
  }
  const ms = (values: readonly number[]): string => `p50 ${median(values).toFixed(1)} ms`;
  return {
    kind: 'measured',
    result: {
      figure: 'slurm-submit',
      value: median(ratios),
      unit: 'x',
      comparator: 'slurmrestd’s own POST job/submit',
      goal: { max: 1.5 },
      rounds: ratios.length,
      spread: medianInterval(ratios),
      resolved: isResolved(ratios),
      detail: { gateway: ms(all.gateway), slurmrestd: ms(all.rest), 'an sbatch process each': ms(all.sbatch) },
    },
  };
}

async function manySubmitters(context: BenchContext): Promise<FigureOutcome> {
  const reason = whyNoSlurm();
  if (reason !== undefined) return { kind: 'skipped', reason };
  const system = await slurmSystem(context);
  await clear(system);
  const held = { tier: 'batch', script: SCRIPT, hold: true, timeLimitSeconds: 300 };
  const began = performance.now();
  const answers = await Promise.all(
    Array.from({ length: SUBMITTERS * 2 }, (_, i) =>
      system.submit(held, `bench-${Math.floor(i / 2)}`).catch((cause: unknown) => String(cause)),
    ),
  );
  const tookMs = performance.now() - began;
  // A key that is being handled may be answered "in progress": asked again, it is that job.
  const ids = await Promise.all(Array.from({ length: SUBMITTERS }, (_, i) => system.submit(held, `bench-${i}`)));
  const comments = (await system.slurm.command('/usr/bin/squeue', '-h', '-o', '%k'))
    .split('\n')
    .flatMap((line) => /:(job_[a-z0-9]+):/.exec(line)?.[1] ?? []);
  const mine = comments.filter((id) => ids.includes(id));
  const faults =
    Math.abs(new Set(ids).size - SUBMITTERS) +
    (mine.length - new Set(mine).size) +
    ids.filter((id) => !mine.includes(id)).length;
  await clear(system);
  return {
    kind: 'measured',
    result: {
      figure: 'slurm-submit-200',
      value: faults,
      unit: 'duplicated or lost',
      goal: { max: 0 },
      rounds: 1,
      spread: [faults, faults],
      detail: {
        took: `${tookMs.toFixed(0)} ms for ${SUBMITTERS} keys sent twice at once`,
        refused: answers.filter((a) => !a.startsWith('job_')).length,
      },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'slurm-submit',
    group: 'slurm',
    title: 'Submission through the gateway to slurmrestd’s own',
    run: submitLatency,
  },
  { name: 'slurm-submit-200', group: 'slurm', title: '200 submitters at once, each key twice', run: manySubmitters },
];
