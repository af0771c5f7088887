/**
 * Learns what becomes of an attempt from its folder alone, so that an attempt we started and one we found after a
 * restart are followed in the same way: inotify for speed, a slow look for what inotify or a dead runner does not say.
 */
import { type FSWatcher, watch } from 'node:fs';
import { isAlive, thisBoot } from '../../process-identity.ts';
import { attemptPaths, type Exit, type Running, type Started } from './attempt-files.ts';
import { createFileOnce, readJson } from './durable-file.ts';
import { finishAttempt } from './finish-attempt.ts';
import { attemptFolder } from './job-folder.ts';
import { openAttempt, withAttempt } from './job-record.ts';
import { killProcessesOf } from './kill-processes.ts';
import { type LocalCluster, type LocalJob, tellListeners } from './local-cluster.ts';

/** How late the death of an adopted runner is seen; that of our own child is seen at once. */
const LOOK_EVERY_MS = 1000;

export function followAttempt(cluster: LocalCluster, job: LocalJob): void {
  const attempt = openAttempt(job.record);
  if (attempt === undefined) return;
  const folder = attemptFolder(cluster.folders, job.record.nativeId, attempt.attempt);
  const look = (): void => lookLater(cluster, job);
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(folder, { persistent: false }, look);
    watcher.on('error', () => watcher?.close());
  } catch (error) {
    cluster.options.log.warn(
      { err: error, job: job.record.nativeId },
      'an attempt cannot be watched; its folder is read every second',
    );
  }
  let disarm = (): void => {};
  const again = (): void => {
    disarm = cluster.options.clock.after(LOOK_EVERY_MS, () => {
      again();
      settleAttempt(cluster, job).catch((error: unknown) => logLook(cluster, job, error));
    });
  };
  again();
  job.unfollow = () => {
    disarm();
    watcher?.close();
  };
  look(); // what was written before the watch began
}

const looking = new WeakMap<LocalJob, 'once' | 'again'>();

/** One look at a time; events during it make one more. */
function lookLater(cluster: LocalCluster, job: LocalJob): void {
  if (looking.has(job)) {
    looking.set(job, 'again');
    return;
  }
  looking.set(job, 'once');
  lookAtAttempt(cluster, job)
    .catch((error: unknown) => logLook(cluster, job, error))
    .finally(() => {
      const again = looking.get(job) === 'again';
      looking.delete(job);
      if (again) lookLater(cluster, job);
    });
}

function logLook(cluster: LocalCluster, job: LocalJob, error: unknown): void {
  cluster.options.log.error({ err: error, job: job.record.nativeId }, 'the folder of an attempt could not be read');
}

/** Takes over what the runner wrote; true when the attempt is over. */
async function lookAtAttempt(cluster: LocalCluster, job: LocalJob): Promise<boolean> {
  const attempt = openAttempt(job.record);
  if (attempt === undefined) return true;
  const paths = attemptPaths(attemptFolder(cluster.folders, job.record.nativeId, attempt.attempt));
  const exit = (await readJson(paths.exit)) as Exit | undefined;
  const same = (): boolean => cluster.phase !== 'closed' && openAttempt(job.record)?.attempt === attempt.attempt;
  if (!same()) return true;
  if (exit !== undefined) {
    finishAttempt(cluster, job, { kind: 'exit', exit });
    return true;
  }
  if (attempt.startedAtMs !== undefined) return false;
  const running = (await readJson(paths.running)) as Running | undefined;
  if (running === undefined || !same()) return !same();
  job.record = withAttempt(job.record, { ...attempt, startedAtMs: running.atMs });
  tellListeners(cluster); // not saved: running.json says it after a restart
  return false;
}

/**
 * Finds out for certain where an attempt stands: over, running, or never taken; in that last case it is revoked, so that
 * no runner can take it any more. Called when its runner is gone, now and then, and for every open attempt after a
 * restart. True when it still runs.
 */
export async function settleAttempt(cluster: LocalCluster, job: LocalJob, runner: RunnerFacts = {}): Promise<boolean> {
  if (await lookAtAttempt(cluster, job)) return false;
  const attempt = openAttempt(job.record);
  if (attempt === undefined) return false;
  const paths = attemptPaths(attemptFolder(cluster.folders, job.record.nativeId, attempt.attempt));
  const same = (): boolean => cluster.phase !== 'closed' && openAttempt(job.record)?.attempt === attempt.attempt;
  if (attempt.bootId !== thisBoot()) {
    finishAttempt(cluster, job, { kind: 'node-failed', detail: 'the machine was started anew' });
    return false;
  }
  let started = (await readJson(paths.started)) as Started | undefined;
  if (!same()) return false;
  if (started === undefined) {
    if (runner.gone !== true) return true; // on its way to a runner of ours
    const revoked: Started = { kind: 'revoked' };
    if (createRevocation(paths.started, revoked)) started = revoked;
    else started = (await readJson(paths.started)) as Started;
    if (!same()) return false;
  }
  if (started.kind === 'revoked') {
    finishAttempt(cluster, job, { kind: 'not-started', detail: 'no runner took it', ...retry(runner) });
    return false;
  }
  if (isAlive(started)) return true;
  // It may have written its last word between the look and its death.
  if (await lookAtAttempt(cluster, job)) return false;
  const killed = await killProcessesOf(attempt.cookie);
  if (same())
    finishAttempt(cluster, job, {
      kind: 'node-failed',
      detail: `its runner died; ${killed} of its processes were killed`,
    });
  return false;
}

export interface RunnerFacts {
  /** No runner of ours has the attempt, or will get it. */
  readonly gone?: boolean;
  /** How long the job waits if its script never ran. */
  readonly retryAfterMs?: number;
}

const retry = ({ retryAfterMs }: RunnerFacts) => (retryAfterMs === undefined ? {} : { retryAfterMs });

function createRevocation(path: string, revoked: Started): boolean {
  try {
    return createFileOnce(path, JSON.stringify(revoked));
  } catch (error) {
    // Without its folder nobody can take the attempt: launching it failed before that.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true;
    throw error;
  }
}
