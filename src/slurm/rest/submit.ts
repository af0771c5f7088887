/** POST job/submit. An id is success, whatever else the answer says: a held job comes with error 2042 beside its id. Without an id it was refused, or nobody knows. */
import type { BatchOrder } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import { errorsIn, restFailure } from './rest-failure.ts';
import type { VersionFields } from './version.ts';

/**
 * Unknown fields are refused by slurmrestd (9001), so each stands here only where it was tried. `requeue` is dropped silently by 22.05: the caller sets it afterwards.
 * A time is said from now, as slurmrestd reads a clock time in its own zone.
 */
export function submitBody(order: BatchOrder, fields: VersionFields, nowMs: number): object {
  if (order.container !== undefined && !fields.container)
    throw new SlurmFailure({ kind: 'invalid', message: 'container: this version of slurmrestd takes none' });
  return {
    script: order.script,
    job: {
      name: order.name,
      account: order.account,
      qos: order.qos,
      comment: order.comment,
      current_working_directory: order.workDir,
      standard_output: order.stdoutPath,
      standard_error: order.stderrPath,
      open_mode: 'append',
      environment: order.environment,
      nodes: String(order.nodes),
      tasks: order.nodes * order.tasksPerNode,
      tasks_per_node: order.tasksPerNode,
      time_limit: order.timeLimitMinutes,
      ...(order.hold ? { hold: true } : {}),
      ...(order.partition === undefined ? {} : { partition: order.partition }),
      ...(order.reservation === undefined ? {} : { reservation: order.reservation }),
      ...(order.memoryMiBPerNode === undefined ? {} : { memory_per_node: order.memoryMiBPerNode }),
      ...(order.beginMs === undefined
        ? {}
        : { begin_time: `now+${Math.max(0, Math.ceil((order.beginMs - nowMs) / 1000))}` }),
      ...(order.gres === undefined ? {} : { gres: order.gres }),
      ...(order.constraint === undefined ? {} : { constraints: order.constraint }),
      ...(order.exclusive ? { exclusive: 'exclusive' } : {}),
      ...(order.container === undefined ? {} : { container: order.container }),
      ...(order.array === undefined ? {} : { array: order.array }),
      ...(order.dependency === undefined ? {} : { dependency: order.dependency }),
    },
  };
}

export interface Submitted {
  readonly jobId: string;
  /** Slurm took it, and says that it can never run (2015): it would wait for ever. */
  readonly impossible: SlurmFailure | undefined;
}

/** ESLURM_REQUESTED_PART_CONFIG_UNAVAILABLE. */
const IMPOSSIBLE = 2015;

export function submitted(answer: unknown): Submitted {
  const id = (answer as { readonly job_id?: unknown } | null)?.job_id;
  const errors = errorsIn(answer);
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || id <= 0)
    throw restFailure(errors, 'Slurm refused the job');
  const never = errors.find((e) => e.code === IMPOSSIBLE);
  return {
    jobId: String(id),
    impossible: never === undefined ? undefined : restFailure([never], 'Slurm could never start the job'),
  };
}
