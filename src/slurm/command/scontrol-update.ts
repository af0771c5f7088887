/** scontrol update: changes a job. A name is the only free text; it is one argv word after `JobName=`, which scontrol takes as it is. */
import type { SlurmWrite } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import { failureOf } from './failure-of.ts';
import type { RunSlurm } from './run-command.ts';

type Change = Parameters<SlurmWrite['update']>[2];

export async function scontrolUpdate(run: RunSlurm, jobId: string, change: Change): Promise<void> {
  if (change.name !== undefined && /["'\n]/.test(change.name))
    throw new SlurmFailure({
      kind: 'invalid',
      message: 'name: quotes and line ends cannot be given to a job that is queued already',
    });
  const words = [
    ...(change.timeLimitMinutes === undefined ? [] : [`TimeLimit=${change.timeLimitMinutes}`]),
    ...(change.qos === undefined ? [] : [`QOS=${change.qos}`]),
    ...(change.beginMs === undefined ? [] : [`StartTime=${new Date(change.beginMs).toISOString().slice(0, 19)}`]),
    ...(change.requeue === undefined ? [] : [`Requeue=${change.requeue ? 1 : 0}`]),
    ...(change.name === undefined ? [] : [`JobName=${change.name}`]),
  ];
  if (words.length === 0) return;
  const failure = failureOf(
    await run('scontrol', ['update', `JobId=${jobId}`, ...words]),
    'the job could not be changed',
  );
  if (failure !== undefined) throw failure;
}
