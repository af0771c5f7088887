/** scancel: ends a job, or sends its processes a signal. Says nothing when it worked; whoever calls reads the job again. */
import { failureOf } from './failure-of.ts';
import type { RunSlurm } from './run-command.ts';

/** A job that has ended is left as it is. */
export async function scancel(run: RunSlurm, jobId: string, signal?: string): Promise<void> {
  // --full: the batch script and its children, where plain --signal would reach steps only.
  const ran = await run('scancel', [...(signal === undefined ? [] : [`--signal=${signal}`, '--full']), jobId]);
  const failure = failureOf(ran, 'the job could not be cancelled');
  if (failure === undefined || /ended/.test(failure.message)) return;
  throw failure;
}
