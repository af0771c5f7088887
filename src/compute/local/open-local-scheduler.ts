/**
 * The local scheduler: a cluster of declared nodes and slots whose jobs are real processes of this machine. Composes the
 * pieces of this folder behind the port; decisions come from `batch/decide` alone, whenever a job is submitted or ends,
 * or a time is reached. Owns `stateDir`.
 */
import { decide, enqueueJob } from '../../batch/index.ts';
import { type NativeJob, type Scheduler, SchedulerError, type SchedulerJobSpec } from '../scheduler.ts';
import { adoptJobs } from './adopt-jobs.ts';
import { cancelQueued } from './cancel-queued.ts';
import { checkFit, checkSpec } from './check-spec.ts';
import { createJob, loadRecords, prepareFolders } from './job-folder.ts';
import { type JobRecord, openAttempt } from './job-record.ts';
import { launchAttempt } from './launch-attempt.ts';
import {
  batchJobOf,
  emptyCluster,
  type LocalCluster,
  type LocalJob,
  type LocalSchedulerOptions,
  tellListeners,
} from './local-cluster.ts';
import { launched, orderEnd } from './order-end.ts';
import { openRunnerPool } from './runner-pool.ts';
import { renewClaims } from './save-job.ts';
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
    const pool = openRunnerPool({ stateDir: options.stateDir, spares: options.spareRunners ?? SPARE_RUNNERS });
    const cluster = emptyCluster(options, pool, records);
    try {
      await adoptJobs(cluster, records);
    } catch (error) {
      await pool.close();
      throw error;
    }
    const stop = driveCluster(cluster);
    return schedulerOf(cluster, () => {
      stop();
      lock.release();
    });
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** From here on every wake is followed by one decision, applied at once. Returns the way to end the timer. */
function driveCluster(cluster: LocalCluster): () => void {
  const { clock } = cluster.options;
  let due = false;
  let disarm = (): void => {};
  const turn = (): void => {
    due = false;
    disarm();
    if (cluster.phase === 'open') {
      const nowMs = clock.now();
      const decision = decide(cluster.state, nowMs);
      cluster.decision = decision;
      for (const { job, placement } of decision.start) {
        const started = cluster.jobs.get(job.id);
        if (started !== undefined) launchAttempt(cluster, started, placement);
      }
      for (const { victim, for: preemptor } of decision.preempt) {
        const job = cluster.jobs.get(victim.job.id);
        const graceMs = cluster.state.tiers[victim.job.tier]?.graceMs ?? 0;
        if (job === undefined) continue;
        orderEnd(cluster, job, { cause: 'preempt', graceMs, atMs: nowMs, forJob: preemptor.id }).catch(
          (error: unknown) => {
            cluster.options.log.error({ err: error, job: victim.job.id }, 'a preemption could not be ordered');
          },
        );
      }
      if (decision.nextWakeMs !== undefined) disarm = clock.after(decision.nextWakeMs - nowMs, cluster.wake);
    }
    if (cluster.phase !== 'closed') tellListeners(cluster);
  };
  cluster.wake = () => {
    if (due || cluster.phase === 'closed') return;
    due = true;
    setImmediate(turn);
  };
  cluster.wake();
  return () => disarm();
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
    async submit(spec) {
      opened();
      checkSpec(spec);
      const known = cluster.keys.get(spec.key);
      if (known !== undefined) return viewJob(cluster, await resubmitted(cluster, await known, spec));
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
      for (const job of cluster.jobs.values()) {
        if (project !== undefined && job.record.spec.project !== project) continue;
        const view = viewJob(cluster, job);
        if (states === undefined || states.includes(view.state)) jobs.push(view);
      }
      return jobs;
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

async function resubmitted(cluster: LocalCluster, job: LocalJob, spec: SchedulerJobSpec): Promise<LocalJob> {
  if (job.record.spec.claims === 0 || spec.claims.length === 0) return job;
  try {
    await renewClaims(cluster, job, spec.claims);
  } catch (error) {
    throw new SchedulerError('unavailable', 'the new claims of the job could not be recorded', { cause: error });
  }
  return job;
}

/** Accepts a new job; several submits with one key wait for the first. */
function admitJob(cluster: LocalCluster, spec: SchedulerJobSpec): Promise<LocalJob> {
  const serial = cluster.lastSerial + 1;
  const { script: _script, claims, ...rest } = spec;
  const record: JobRecord = {
    version: 1,
    nativeId: String(serial),
    serial,
    spec: { ...rest, claims: claims.length },
    submittedAtMs: cluster.options.clock.now(),
    attempts: [],
  };
  const batch = batchJobOf(cluster, record);
  checkFit(cluster.state, cluster.options.tiers, {
    ...batch,
    tierName: spec.tier,
    timeLimitSeconds: spec.timeLimitSeconds,
  });
  cluster.lastSerial = serial;
  const admitted = createJob(cluster.folders, record, spec).then(
    () => {
      const job: LocalJob = {
        record,
        batch,
        running: undefined,
        ending: undefined,
        unfollow: undefined,
        saved: Promise.resolve(),
      };
      cluster.jobs.set(record.nativeId, job);
      enqueueJob(cluster.state, batch);
      cluster.wake();
      return job;
    },
    (error: unknown) => {
      cluster.keys.delete(spec.key);
      cluster.options.log.error({ err: error, key: spec.key }, 'a job could not be recorded');
      throw new SchedulerError('unavailable', 'the job could not be recorded', { cause: error });
    },
  );
  cluster.keys.set(spec.key, admitted);
  return admitted;
}

async function endAllJobs(cluster: LocalCluster): Promise<void> {
  if (cluster.phase === 'closed') return;
  cluster.phase = 'ending';
  await Promise.allSettled([...cluster.keys.values()]);
  const open = [...cluster.jobs.values()].filter((job) => openAttempt(job.record) !== undefined);
  const ended = new Promise<void>((resolve) => {
    const look = (): void => {
      if (open.some((job) => openAttempt(job.record) !== undefined)) return;
      cluster.listeners.delete(look);
      resolve();
    };
    cluster.listeners.add(look);
    look();
  });
  const atMs = cluster.options.clock.now();
  await Promise.allSettled(
    open.map((job) =>
      orderEnd(cluster, job, { cause: 'shutdown', graceMs: cluster.state.tiers[job.batch.tier]?.graceMs ?? 0, atMs }),
    ),
  );
  await ended;
}
