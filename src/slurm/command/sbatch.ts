/** sbatch: for a site without slurmrestd. Run as the job's own user by the site's `become`, the script on its standard input, nothing of ours in its environment. */
import type { BatchOrder, MappedUser } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import { failureOf } from './failure-of.ts';
import type { RunSlurm } from './run-command.ts';

export function sbatchArgs(order: BatchOrder, nowMs: number): readonly string[] {
  const flag = (name: string, value: string | number | undefined): readonly string[] =>
    value === undefined ? [] : [`--${name}=${value}`];
  return [
    '--parsable',
    ...flag('job-name', order.name),
    ...flag('account', order.account),
    ...flag('qos', order.qos),
    ...flag('partition', order.partition),
    ...flag('reservation', order.reservation),
    ...flag('comment', order.comment),
    ...flag('chdir', order.workDir),
    ...flag('output', order.stdoutPath),
    ...flag('error', order.stderrPath),
    '--open-mode=append',
    ...flag('nodes', order.nodes),
    ...flag('ntasks-per-node', order.tasksPerNode),
    ...flag('mem', order.memoryMiBPerNode === undefined ? undefined : `${order.memoryMiBPerNode}M`),
    ...flag('time', order.timeLimitMinutes),
    order.requeue ? '--requeue' : '--no-requeue',
    ...(order.hold ? ['--hold'] : []),
    ...(order.exclusive ? ['--exclusive'] : []),
    // Seconds from now: `become` may not keep our time zone.
    ...flag(
      'begin',
      order.beginMs === undefined ? undefined : `now+${Math.max(0, Math.ceil((order.beginMs - nowMs) / 1000))}`,
    ),
    ...flag('gres', order.gres),
    ...flag('constraint', order.constraint),
    ...flag('container', order.container),
    ...flag('array', order.array),
    ...flag('dependency', order.dependency),
    `--export=${Object.entries(order.environment)
      .map(([name, value]) => `${name}=${value}`)
      .join(',')}`,
  ];
}

export async function sbatch(
  run: RunSlurm,
  {
    order,
    user,
    become,
    nowMs,
  }: {
    readonly order: BatchOrder;
    readonly user: MappedUser;
    readonly become: readonly string[] | undefined;
    readonly nowMs: number;
  },
): Promise<string> {
  if (become === undefined)
    throw new SlurmFailure({
      kind: 'refused',
      message: 'this cluster has neither slurmrestd nor `become`: the agent cannot submit as anybody',
    });
  // A comma would begin another variable.
  if (Object.values(order.environment).some((value) => value.includes(',')))
    throw new SlurmFailure({ kind: 'invalid', message: 'the folder of jobs must have no comma in its path' });
  const before = become.map((word) => word.replaceAll('{user}', user.name));
  const ran = await run('sbatch', sbatchArgs(order, nowMs), { input: order.script, before });
  const id = /^(\d{1,10})(;|$)/.exec(ran.stdout.trim())?.[1];
  if (id !== undefined) return id;
  throw (
    failureOf(ran, 'Slurm refused the job') ??
    new SlurmFailure({ kind: 'unavailable', message: 'sbatch gave no number' })
  );
}
