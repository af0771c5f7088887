/** Reading a project's 5,000 jobs: every page of the gateway's list, one after the other as a client does it, to one `squeue --json` of the same jobs in the same Slurm. Issue 4, figures. */
import { whyNoSlurm } from '../../test/servers/slurm/packages.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { isResolved, median, medianInterval, ratios, runPaired } from '../paired-rounds.ts';
import { type SlurmSystem, slurmSystem } from './slurm-system.ts';

const JOBS = 5000;
const SUBMITTERS = 16;
/** The most that one page may have. */
const PAGE = 1000;
const HELD = { tier: 'batch', script: '#!/bin/sh\nexit 0\n', hold: true, timeLimitSeconds: 300 };

/** Through the gateway, so that both sides list the very same jobs; held, so that nothing moves meanwhile. Gives their ids. */
async function submitAll(context: BenchContext, system: SlurmSystem): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  let begun = 0;
  const submitter = async (): Promise<void> => {
    while (begun < JOBS) {
      begun += 1;
      ids.add(await system.submit(HELD));
      if (ids.size % 1000 === 0) context.log(`slurm-list: ${ids.size} jobs submitted`);
    }
  };
  await Promise.all(Array.from({ length: SUBMITTERS }, submitter));
  return ids;
}

async function listed({ api, token }: SlurmSystem): Promise<readonly string[]> {
  const ids: string[] = [];
  let before = '';
  for (;;) {
    const { status, text, body } = await api.ask(`/beamway/v1/jobs?limit=${PAGE}${before}`, { bearer: token });
    if (status !== 200) throw new Error(`${status} ${text}`);
    for (const { id } of body['jobs'] as { readonly id: string }[]) ids.push(id);
    if (body['next'] === null) return ids;
    before = `&before=${String(body['next'])}`;
  }
}

async function squeued({ slurm }: SlurmSystem): Promise<number> {
  const { jobs } = JSON.parse(await slurm.command('/usr/bin/squeue', '--json')) as { readonly jobs: unknown[] };
  return jobs.length;
}

async function listJobs(context: BenchContext): Promise<FigureOutcome> {
  const reason = whyNoSlurm();
  if (reason !== undefined) return { kind: 'skipped', reason };
  const system = await slurmSystem(context);
  await system.slurm.command('/usr/bin/scancel', '--user=bw-demo');
  // The example's project may have 2,000 jobs waiting.
  Object.assign(system.api.server.facility.projects.get('demo')?.limits ?? {}, { queuedJobs: 2 * JOBS });
  const ids = await submitAll(context, system);
  // The list may have jobs of earlier figures too: more work for us, none for squeue.
  if ((await listed(system)).filter((id) => ids.has(id)).length !== JOBS) throw new Error('the list lacks jobs');
  const measure = async (path: 'gateway' | 'squeue'): Promise<number> => {
    const began = performance.now();
    const count = path === 'gateway' ? (await listed(system)).length : await squeued(system);
    const took = performance.now() - began;
    if (count < JOBS) throw new Error(`${path} told ${count} jobs`);
    return took;
  };
  const { rounds } = await runPaired<'gateway' | 'squeue', number>(context, {
    paths: ['gateway', 'squeue'],
    measure,
    enough: (so) => isResolved(so.map((r) => r.squeue / r.gateway)),
    describe: (ms) => `${ms.toFixed(0)} ms`,
  });
  await system.slurm.command('/usr/bin/scancel', '--user=bw-demo');
  const faster = ratios(rounds, { of: 'squeue', to: 'gateway', value: (ms) => ms });
  const p50 = (path: 'gateway' | 'squeue'): string => `p50 ${median(rounds.map((r) => r[path])).toFixed(0)} ms`;
  return {
    kind: 'measured',
    result: {
      figure: 'slurm-list',
      value: median(faster),
      unit: 'x faster',
      comparator: 'one squeue --json of the same jobs, parsed',
      goal: { min: 5 },
      rounds: faster.length,
      spread: medianInterval(faster),
      resolved: isResolved(faster),
      detail: { jobs: JOBS, page: PAGE, gateway: p50('gateway'), 'squeue --json': p50('squeue') },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  { name: 'slurm-list', group: 'slurm', title: 'A list of 5,000 jobs to squeue --json', run: listJobs },
];
