/** scontrol hold: a waiting job waits until it is released. As an operator this is an administrator's hold, so the user's own release is asked for by `uhold`. */
import { failureOf } from './failure-of.ts';
import type { RunSlurm } from './run-command.ts';

export async function scontrolHold(run: RunSlurm, jobId: string): Promise<void> {
  const failure = failureOf(await run('scontrol', ['uhold', jobId]), 'the job could not be held');
  if (failure !== undefined) throw failure;
}
