/** scontrol requeue: a running or ended job is put back into the queue. Not over REST in any version. */
import { failureOf } from './failure-of.ts';
import type { RunSlurm } from './run-command.ts';

export async function scontrolRequeue(run: RunSlurm, jobId: string): Promise<void> {
  const failure = failureOf(await run('scontrol', ['requeue', jobId]), 'the job could not be put back into the queue');
  if (failure !== undefined) throw failure;
}
