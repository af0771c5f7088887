/**
 * The local scheduler: a cluster of declared nodes and slots whose jobs are real processes of this machine. Composes the
 * pieces of this folder behind the port; decisions come from `batch/decide` alone, whenever a job is submitted or ends,
 * or a time is reached. Owns `stateDir`.
 */
import { type NativeJob, type Scheduler, SchedulerError } from '../scheduler.ts';
import { admitJob, resubmitJob } from './admit-job.ts';
import { adoptJobs } from './adopt-jobs.ts';
import { cancelQueued } from './cancel-queued.ts';
import { checkSpec } from './check-spec.ts';
import { driveCluster } from './drive-cluster.ts';
import { endAllJobs } from './end-all-jobs.ts';
import { loadRecords, prepareFolders } from './job-folder.ts';
import { openAttempt } from './job-record.ts';
import { emptyCluster, type LocalCluster, type LocalJob, type LocalSchedulerOptions } from './local-cluster.ts';
import { launched, orderEnd } from './order-end.ts';
import { readRange } from './read-range.ts';
import { openRunnerPool } from './runner-pool.ts';
import { lockStateFolder } from './state-lock.ts';
import { viewJob } from './view-job.ts';

export interface LocalScheduler extends Scheduler {
  /** Ends all running jobs (those that may be requeued wait for the next start) and then lets go. */
  closeAndEndJobs(): Promise<void>;
}

const SPARE_RUNNERS = 2;

/** Throws when another scheduler uses the folder (StateFolderInUse), when a job's record is damaged, or the tiers are wrong (RangeError). */
export async function openLocalScheduler(options: LocalSchedulerOptions): Promise<LocalScheduler> {
  const lock = lockStateFolder(options.stateDir);
  try {
    const folders = { root: options.stateDir, runAs: options.runAs };
    await prepareFolders(folders);
    const records = await loadRecords(folders);
    const pool = openRunnerPool({
      stateDir: options.stateDir,
      spares: options.spareRunners ?? SPARE_RUNNERS,
      log: options.log,
      clock: options.clock,
    });
    let cluster: LocalCluster | undefined;
    try {
      cluster = emptyCluster(options, pool, records);
      await adoptJobs(cluster, records);
      const stop = driveCluster(cluster);
      return schedulerOf(cluster, () => {
        stop();
        lock.release();
      });
    } catch (error) {
      for (const job of cluster?.jobs.values() ?? []) job.unfollow?.();
      await pool.close();
      throw error;
    }
  } catch (error) {
    lock.release();
    throw error;
  }
}

function schedulerOf(cluster: LocalCluster, letGo: () => void): LocalScheduler {
  const opened = (): void => {
    if (cluster.phase === 'closed') throw new SchedulerError('unavailable', 'the local scheduler is closed');
  };
  const found = (nativeId: string): LocalJob => {
    opened();
    const job = cluster.jobs.get(nativeId);
    if (job === undefined) throw new SchedulerError('not-found', `no job ${nativeId}`);
    return job;
  };
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    cluster.phase = 'closed';
    for (const job of cluster.jobs.values()) job.unfollow?.();
    await Promise.allSettled([...cluster.keys.values()]);
    for (const job of cluster.jobs.values()) await Promise.allSettled([launched.get(job), job.saved]);
    await cluster.pool.close();
    letGo();
  };
  return {
    features: new Set(),
    async submit(spec) {
      opened();
      checkSpec(spec);
      const known = cluster.keys.get(spec.key);
      if (known !== undefined) return viewJob(cluster, await resubmitJob(cluster, await known, spec));
      if (cluster.phase === 'ending') throw new SchedulerError('unavailable', 'the cluster is being shut down');
      return viewJob(cluster, await admitJob(cluster, spec));
    },
    async cancel(nativeId) {
      const job = found(nativeId);
      if (job.record.ended !== undefined) return viewJob(cluster, job);
      try {
        if (openAttempt(job.record) === undefined) await cancelQueued(cluster, job);
        else
          await orderEnd(cluster, job, {
            cause: 'cancel',
            graceMs: cluster.killGraceMs,
            atMs: cluster.options.clock.now(),
          });
      } catch (error) {
        throw new SchedulerError('unavailable', `the cancellation of job ${nativeId} could not be recorded`, {
          cause: error,
        });
      }
      return viewJob(cluster, job);
    },
    async show(nativeId) {
      return viewJob(cluster, found(nativeId));
    },
    async list(filter = {}) {
      opened();
      const { states, project } = filter;
      const jobs: NativeJob[] = [];
      for (const job of [...cluster.jobs.values()].sort((a, b) => a.record.serial - b.record.serial)) {
        if (project !== undefined && job.record.spec.project !== project) continue;
        const view = viewJob(cluster, job);
        if (states === undefined || states.includes(view.state)) jobs.push(view);
      }
      return jobs;
    },
    async changes() {
      // Jobs of this machine are few and at hand: all of them, each time.
      return { cursor: '', complete: true, jobs: await this.list() };
    },
    async output(nativeId, range) {
      const view = viewJob(cluster, found(nativeId));
      const attempt = view.attempts.find((a) => a.attempt === range.attempt);
      if (attempt === undefined)
        throw new SchedulerError('not-found', `job ${nativeId} has no attempt ${range.attempt}`);
      return readRange(range.file === 'stdout' ? attempt.stdoutPath : attempt.stderrPath, range);
    },
    async nodes() {
      opened();
      return cluster.options.nodes.map((node, n) => ({
        name: node.name,
        slots: node.slots,
        free: Math.max(0, cluster.state.free[n] ?? 0),
        state: 'up',
      }));
    },
    async tiers() {
      opened();
      return cluster.options.tiers.map(({ name, priority, preempts, preemptMode, graceSeconds }) => ({
        name,
        priority,
        preempts,
        preemptMode,
        graceSeconds,
      }));
    },
    watch(listener) {
      cluster.listeners.add(listener);
      return () => void cluster.listeners.delete(listener);
    },
    close() {
      closing ??= close();
      return closing;
    },
    closeAndEndJobs() {
      closing ??= endAllJobs(cluster).then(close);
      return closing;
    },
  };
}
