/** Test fixture: a local cluster in a temporary folder, opened as often as a test likes, with nothing left behind. */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../clock.ts';
import type { SchedulerUnderTest } from '../scheduler.conformance.ts';
import { processesOf } from './kill-processes.ts';
import type { LocalLog, LocalSchedulerOptions } from './local-cluster.ts';
import { type LocalScheduler, openLocalScheduler } from './open-local-scheduler.ts';

export const quietLog: LocalLog = { info: () => {}, warn: () => {}, error: () => {} };

export const TEST_CLUSTER: Omit<LocalSchedulerOptions, 'stateDir'> = {
  cluster: 'test',
  nodes: [
    { name: 'n01', slots: 2 },
    { name: 'n02', slots: 2 },
  ],
  tiers: [
    { name: 'batch', priority: 100, preempts: [], preemptMode: 'requeue', graceSeconds: 1, maxTimeLimitSeconds: 7200 },
    { name: 'urgent', priority: 1000, preempts: ['batch'], preemptMode: 'requeue', graceSeconds: 1 },
  ],
  clock: systemClock,
  log: quietLog,
  killGraceMs: 300,
  spareRunners: 1,
};

export interface LocalUnderTest extends SchedulerUnderTest {
  readonly stateDir: string;
  current(): LocalScheduler;
  reopen(meanwhile: () => Promise<void>): Promise<LocalScheduler>;
}

export async function openTestCluster(over: Partial<LocalSchedulerOptions> = {}): Promise<LocalUnderTest> {
  const root = mkdtempSync(join(tmpdir(), 'beamway-local-'));
  const stateDir = join(root, 'state');
  const marks = join(root, 'marks');
  await mkdir(marks, { mode: 0o777 });
  const open = (): Promise<LocalScheduler> => openLocalScheduler({ ...TEST_CLUSTER, ...over, stateDir });
  let current = await open();
  return {
    scheduler: current,
    marks,
    stateDir,
    current: () => current,
    async reopen(meanwhile) {
      await current.close();
      await meanwhile();
      current = await open();
      return current;
    },
    async dispose() {
      await current.close();
      const last = await open(); // whatever runs, even if the test closed or killed its scheduler
      await last.closeAndEndJobs();
      assert.deepEqual(await leftovers(stateDir), [], 'no process of a job is left');
      // A runner writes its compile cache after its last word.
      await rm(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}

/** Pids that carry the cookie of any attempt of the folder. */
export async function leftovers(stateDir: string): Promise<readonly number[]> {
  const pids: number[] = [];
  for (const entry of await readdir(`${stateDir}/jobs`)) {
    const record = JSON.parse(await readFile(`${stateDir}/jobs/${entry}/job.json`, 'utf8')) as {
      attempts: readonly { cookie: string }[];
    };
    for (const { cookie } of record.attempts) pids.push(...processesOf(cookie));
  }
  return pids;
}
