/**
 * Orders an attempt to end: cancelled, preempted, or shut down with the cluster. The order is a file first (it survives
 * us, and the runner reads it even if it takes the attempt only later), then SIGTERM to the runner.
 */
import { markPreempting } from '../../batch/index.ts';
import { signalProcess } from '../../process-identity.ts';
import { attemptPaths, type EndOrder, type Started } from './attempt-files.ts';
import { readJson, saveFile } from './durable-file.ts';
import { attemptFolder } from './job-folder.ts';
import { openAttempt } from './job-record.ts';
import { type LocalCluster, type LocalJob, tellListeners } from './local-cluster.ts';

/** A cancellation overrides a preemption and a shutdown; nothing overrides a cancellation. */
function overrides(next: EndOrder, present: EndOrder | undefined): boolean {
  return present === undefined || (next.cause === 'cancel' && present.cause !== 'cancel');
}

/** Resolves when the order is on the disk and sent; the attempt ends later. Does nothing when there is none to end. */
export async function orderEnd(cluster: LocalCluster, job: LocalJob, order: EndOrder): Promise<void> {
  const attempt = openAttempt(job.record);
  if (attempt === undefined || !overrides(order, job.ending)) return;
  job.ending = order;
  if (job.running !== undefined && !job.running.preempting) {
    job.running = markPreempting(cluster.state, job.running, order.atMs + order.graceMs);
  }
  tellListeners(cluster);
  const paths = attemptPaths(attemptFolder(cluster.folders, job.record.nativeId, attempt.attempt));
  await launched.get(job); // its folder must be there; the launch looks at `job.ending` before it hands over
  if (openAttempt(job.record)?.attempt !== attempt.attempt) return job.saved; // it was over before it began; that lasts once it is saved
  try {
    await saveFile(paths.end, JSON.stringify(order));
  } finally {
    await signalRunner(paths.started); // without its order the runner still ends, with the grace of a cancellation
  }
}

/** Where the launch of a job's attempt is under way: resolved, never rejected, when it is handed over or failed. */
export const launched = new WeakMap<LocalJob, Promise<void>>();

/** A runner that has not taken its attempt yet reads end.json when it does. */
export async function signalRunner(startedPath: string): Promise<void> {
  const started = (await readJson(startedPath)) as Started | undefined;
  if (started?.kind === 'claimed') signalProcess(started, 'SIGTERM');
}
