/** What slurmctld hears of us while jobs turn over and 1 or 500 clients watch them: RPCs of the agent's user and of the project's user, as sdiag counts them. Issue 4, item 5. */
import { setTimeout as pause } from 'node:timers/promises';
import { whyNoSlurm } from '../../test/servers/slurm/packages.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';
import { median } from '../paired-rounds.ts';
import { type SlurmSystem, slurmSystem } from './slurm-system.ts';

const ROUNDS = 3;
const WINDOW_MS = 20_000;
const JOBS = 50;
const MANY = 500;
const ASK_EVERY_MS = 1000;
const JOB = { tier: 'batch', script: '#!/bin/sh\nsleep 2\n', timeLimitSeconds: 60 };
/** Whoever else slurmctld hears (daemons, as root and slurm) is not of our making. */
const OURS = ['beamway-slurm', 'bw-demo'];

interface Load {
  readonly perMinute: number;
  readonly asks: number;
}

/** Lines such as `beamway-slurm ( 998) count:12 ave_time:…` of sdiag's table by user; counted since slurmctld began. */
async function counted({ slurm }: SlurmSystem): Promise<number> {
  const text = await slurm.command('/usr/bin/sdiag');
  const table = text.split('statistics by user')[1]?.split('Pending RPC')[0] ?? '';
  return [...table.matchAll(/^\s*(\S+)\s+\(\s*\d+\) count:(\d+)/gm)]
    .filter(([, user]) => OURS.includes(user ?? ''))
    .reduce((sum, [, , count]) => sum + Number(count), 0);
}

async function load(system: SlurmSystem, watchers: number): Promise<Load> {
  const { api, token } = system;
  const ids = [await system.submit(JOB)];
  const before = await counted(system);
  const began = performance.now();
  const left = (): number => began + WINDOW_MS - performance.now();
  let asks = 0;
  const watch = async (n: number): Promise<void> => {
    await pause((n / watchers) * ASK_EVERY_MS);
    while (left() > 0) {
      const next = performance.now() + ASK_EVERY_MS;
      const reply = await api.ask(`/beamway/v1/jobs/${ids[ids.length - 1 - (n % ids.length)]}`, { bearer: token });
      if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
      asks += 1;
      await pause(Math.max(0, Math.min(next - performance.now(), left())));
    }
  };
  const submitAll = async (): Promise<void> => {
    for (let i = 1; i <= JOBS; i++) {
      await pause(Math.max(0, began + (i * (WINDOW_MS - 1000)) / JOBS - performance.now()));
      ids.push(await system.submit(JOB));
    }
  };
  await Promise.all([submitAll(), ...Array.from({ length: watchers }, (_, n) => watch(n))]);
  const minutes = (performance.now() - began) / 60_000;
  const perMinute = ((await counted(system)) - before) / minutes;
  await quiet(system);
  return { perMinute, asks };
}

async function quiet({ slurm }: SlurmSystem): Promise<void> {
  await slurm.command('/usr/bin/scancel', '--user=bw-demo');
  const until = performance.now() + 60_000;
  while ((await slurm.command('/usr/bin/squeue', '-h')).trim() !== '') {
    if (performance.now() > until) throw new Error('the queue did not empty');
    await pause(100);
  }
}

async function watchLoad(context: BenchContext): Promise<FigureOutcome> {
  const reason = whyNoSlurm();
  if (reason !== undefined) return { kind: 'skipped', reason };
  const system = await slurmSystem(context);
  await quiet(system);
  const seen = { one: [] as Load[], many: [] as Load[] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of round % 2 === 0 ? (['one', 'many'] as const) : (['many', 'one'] as const))
      seen[side].push(await load(system, side === 'one' ? 1 : MANY));
    context.log(
      `slurm-watch-load: round ${round + 1}: 1 ${seen.one.at(-1)?.perMinute.toFixed(0)}/min, ${MANY} ${seen.many.at(-1)?.perMinute.toFixed(0)}/min`,
    );
  }
  const quotients = seen.many.map(({ perMinute }, i) => perMinute / (seen.one[i]?.perMinute ?? Number.NaN));
  const told = (loads: readonly Load[]): string =>
    `${median(loads.map((l) => l.perMinute)).toFixed(0)} RPCs/min at ${median(loads.map((l) => l.asks))} asks of ours`;
  return {
    kind: 'measured',
    result: {
      figure: 'slurm-watch-load',
      value: median(quotients),
      unit: 'x',
      comparator: 'one watcher, the same jobs turning over',
      goal: { min: 0.9, max: 1.1 },
      rounds: quotients.length,
      spread: [Math.min(...quotients), Math.max(...quotients)],
      detail: { '1 watcher': told(seen.one), [`${MANY} watchers`]: told(seen.many) },
    },
  };
}

export const figures: readonly BenchFigure[] = [
  { name: 'slurm-watch-load', group: 'slurm', title: 'RPCs to slurmctld with 500 watchers to 1', run: watchLoad },
];
