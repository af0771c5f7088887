/** Starts a program with a terminal inside a running job, on a scheduler that can do so; its far end dials back with the ticket. Nothing is stored: a terminal ends with its socket. */
import { Problem } from '../problems.ts';
import type { ComputeDeps } from './deps.ts';
import { type Job, jobEnded } from './job.ts';
import { onNative } from './on-native.ts';
import { type Asking, SchedulerError, type TerminalOrder } from './scheduler.ts';
import { schedulerProblem } from './scheduler-problem.ts';

/** Throws `job-ended`, `not-supported-here`, `conflict` (it does not run now), `account-refused` or `unavailable`. */
export async function openTerminal(
  deps: Pick<ComputeDeps, 'schedulers'>,
  job: Job,
  { order, by }: { readonly order: TerminalOrder; readonly by: Asking },
): Promise<void> {
  if (jobEnded(job.state)) throw new Problem('job-ended', `Job ${job.id} is ${job.state}.`);
  const scheduler = deps.schedulers.get(job.cluster);
  if (scheduler?.openTerminal === undefined || !scheduler.features.has('terminal'))
    throw new Problem('not-supported-here', `Cluster ${job.cluster} has no terminals in its jobs.`);
  const { nativeId } = job;
  if (nativeId === null || job.spec.array !== undefined)
    throw new Problem(
      'conflict',
      nativeId === null ? `Job ${job.id} does not run yet.` : 'A terminal in a task of an array is not offered.',
    );
  const open = scheduler.openTerminal.bind(scheduler);
  await onNative({ id: job.id, nativeId }, (id) => open(id, order, by)).catch((cause: unknown) => {
    if (!(cause instanceof SchedulerError)) throw cause;
    if (cause.kind === 'invalid' || cause.kind === 'not-found') throw new Problem('conflict', cause.message);
    throw schedulerProblem(cause);
  });
}
