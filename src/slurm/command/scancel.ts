/** scancel: ends a job, or sends its processes a signal. Says nothing when it worked; whoever calls reads the job again. */
import { SlurmFailure } from '../contract/index.ts';
import { failureOf } from './failure-of.ts';
import type { RunSlurm } from './run-command.ts';
import { squeue } from './squeue.ts';

/** A job that has ended is left as it is. */
export async function scancel(run: RunSlurm, jobId: string, signal?: string): Promise<void> {
  // To a waiting job scancel repeats a signal for longer than any caller waits.
  if (signal !== undefined && (await squeue(run, jobId))?.every((row) => row.state === 'PENDING') === true)
    throw new SlurmFailure({ kind: 'invalid', message: 'the job waits; a signal reaches only a running job' });
  // --full: the batch script and its children, where plain --signal would reach steps only.
  const ran = await run('scancel', [...(signal === undefined ? [] : [`--signal=${signal}`, '--full']), jobId]);
  const failure = failureOf(ran, 'the job could not be cancelled');
  if (failure === undefined || /ended/.test(failure.message)) return;
  throw failure;
}
