/**
 * How long an urgent job waits in a full local cluster: from the call of submit until the scheduler says `running`, with
 * the preemption of a batch job, its end and the start of the urgent job's process in between. Issue 2, figures.
 */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../../src/clock.ts';
import { type LocalScheduler, openLocalScheduler, type SchedulerJobSpec } from '../../src/compute/index.ts';
import type { BenchContext, BenchFigure, FigureOutcome } from '../figure.ts';

type NativeJob = Awaited<ReturnType<LocalScheduler['show']>>;

const NODES = 4;
const SLOTS = 4;
/** So many starts per round of the contract's rounds; the first ones warm up and are not counted. */
const STARTS_PER_ROUND = 12;
const WARM_UP = 5;

const silent = { info: () => {}, warn: () => {}, error: () => {} };

function job(key: string, over: Partial<SchedulerJobSpec>): SchedulerJobSpec {
  const base = {
    name: key,
    project: 'bench',
    user: 'bench',
    tier: 'batch',
    arguments: [],
    environment: {},
    nodes: 1,
    slotsPerNode: 1,
  };
  return {
    key,
    ...base,
    script: '#!/bin/sh\nexec sleep 3600\n',
    timeLimitSeconds: 7200,
    requeue: true,
    claims: [],
    ...over,
  };
}

function until(scheduler: LocalScheduler, nativeId: string, holds: (job: NativeJob) => boolean): Promise<NativeJob> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      scheduler.show(nativeId).then((seen) => {
        if (!holds(seen)) return;
        unwatch();
        resolve(seen);
      }, reject);
    };
    const unwatch = scheduler.watch(look);
    look();
  });
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
const tenth = (ms: number): number => Math.round(ms * 10) / 10;

interface Arrival {
  readonly figure: string;
  /** Between the cluster being full again and the next urgent job. */
  readonly restMs: number;
}

async function run(context: BenchContext, { figure, restMs }: Arrival): Promise<FigureOutcome> {
  const root = mkdtempSync(join(tmpdir(), 'beamway-bench-'));
  context.defer(() => rm(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const scheduler = await openLocalScheduler({
    stateDir: join(root, 'state'),
    cluster: 'bench',
    nodes: Array.from({ length: NODES }, (_, i) => ({ name: `n${i}`, slots: SLOTS })),
    tiers: [
      { name: 'batch', priority: 100, preempts: [], preemptMode: 'requeue', graceSeconds: 5 },
      { name: 'urgent', priority: 1000, preempts: ['batch'], preemptMode: 'requeue', graceSeconds: 2 },
    ],
    clock: systemClock,
    log: silent,
  });
  context.defer(() => scheduler.closeAndEndJobs());

  const filled: NativeJob[] = [];
  for (let i = 0; i < NODES * SLOTS; i++) filled.push(await scheduler.submit(job(`fill-${i}`, {})));
  const full = () => Promise.all(filled.map((f) => until(scheduler, f.nativeId, (seen) => seen.state === 'running')));
  await full();

  const starts = context.rounds.min * STARTS_PER_ROUND;
  context.log(`${NODES * SLOTS} slots full of batch jobs; ${starts} urgent jobs, one after the other`);
  const waits: number[] = [];
  for (let i = 0; i < starts + WARM_UP; i++) {
    if (restMs > 0) await pause(restMs);
    const submitted = performance.now();
    const urgent = await scheduler.submit(job(`urgent-${i}`, { tier: 'urgent', script: '#!/bin/sh\nexit 0\n' }));
    const running = await until(
      scheduler,
      urgent.nativeId,
      (seen) => seen.attempts[0] !== undefined && seen.state !== 'queued',
    );
    const waited = performance.now() - submitted;
    if (running.state === 'failed') throw new Error(`an urgent job failed: ${running.reason}`);
    if (i >= WARM_UP) waits.push(waited);
    await until(scheduler, urgent.nativeId, (seen) => seen.endedAtMs !== undefined);
    await full();
  }
  waits.sort((a, b) => a - b);
  const preempted = (await scheduler.list()).reduce(
    (sum, seen) => sum + seen.attempts.filter((a) => a.outcome === 'preempted').length,
    0,
  );
  const detail = {
    p50: tenth(quantile(waits, 0.5)),
    p95: tenth(quantile(waits, 0.95)),
    p99: tenth(quantile(waits, 0.99)),
    starts,
    preempted,
  };
  return {
    kind: 'measured',
    result: {
      figure,
      value: detail.p99,
      unit: 'ms p99',
      rounds: starts,
      spread: [tenth(waits[0] ?? Number.NaN), tenth(waits.at(-1) ?? Number.NaN)],
      detail,
    },
  };
}

export const figures: readonly BenchFigure[] = [
  {
    name: 'urgent-start-local',
    group: 'scheduling',
    title: 'urgent job, submit to running, in a full local cluster at rest (one each 300 ms)',
    run: (context) => run(context, { figure: 'urgent-start-local', restMs: 300 }),
  },
  {
    name: 'urgent-start-local-burst',
    group: 'scheduling',
    title: 'the same, each right after the other: the runners kept ready are used up',
    run: (context) => run(context, { figure: 'urgent-start-local-burst', restMs: 0 }),
  },
];
