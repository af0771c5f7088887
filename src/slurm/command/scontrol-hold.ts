/** scontrol hold: a waiting job waits until it is released. As an operator this is an administrator's hold, so the user's own release is asked for by `uhold`. */
import { SlurmFailure } from '../contract/index.ts';
import { failureOf } from './failure-of.ts';
import type { RunSlurm } from './run-command.ts';
import { squeue } from './squeue.ts';

export async function scontrolHold(run: RunSlurm, jobId: string): Promise<void> {
  // Of a running job Slurm takes it silently: nothing seems to happen, and once preempted the job stays held.
  const rows = await squeue(run, jobId);
  if (rows?.every((row) => row.state !== 'PENDING') === true)
    throw new SlurmFailure({ kind: 'invalid', message: 'the job no longer waits; only a waiting job can be held' });
  const failure = failureOf(await run('scontrol', ['uhold', jobId]), 'the job could not be held');
  if (failure !== undefined) throw failure;
}
