/** scontrol release: a held job waits its turn again. */
import { failureOf } from './failure-of.ts';
import type { RunSlurm } from './run-command.ts';

export async function scontrolRelease(run: RunSlurm, jobId: string): Promise<void> {
  const failure = failureOf(await run('scontrol', ['release', jobId]), 'the job could not be released');
  if (failure !== undefined) throw failure;
}
