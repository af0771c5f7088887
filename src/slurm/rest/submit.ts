/** POST job/submit. An id is success, whatever else the answer says: a held job comes with error 2042 beside its id. Without an id it was refused, or nobody knows. */
import type { BatchOrder } from '../batch-order.ts';
import { SlurmFailure } from '../contract/index.ts';
import { errorsIn, restFailure } from './rest-failure.ts';
import type { VersionFields } from './version.ts';

/**
 * Unknown fields are refused by slurmrestd of 22.05 (9001) and ignored with a warning by later ones (`submitted` takes that for a failure). How each field is written is the
 * version's: version.ts. In 22.05 a time is said from now, as slurmrestd reads a clock time in its own zone.
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
      open_mode: fields.openMode === 'word' ? 'append' : ['APPEND'],
      environment: fields.environment === 'object' ? order.environment : listed(order.environment),
      nodes: String(order.nodes),
      tasks: order.nodes * order.tasksPerNode,
      tasks_per_node: order.tasksPerNode,
      time_limit: amount(fields, order.timeLimitMinutes),
      ...(fields.requeue ? { requeue: order.requeue } : {}),
      ...(order.hold ? { hold: true } : {}),
      ...(order.partition === undefined ? {} : { partition: order.partition }),
      ...(order.reservation === undefined ? {} : { reservation: order.reservation }),
      ...(order.memoryMiBPerNode === undefined ? {} : { memory_per_node: amount(fields, order.memoryMiBPerNode) }),
      ...(order.beginMs === undefined ? {} : { begin_time: begin(fields, order.beginMs, nowMs) }),
      ...(order.gres === undefined ? {} : { [fields.gres.field]: gres(fields, order.gres) }),
      ...(order.constraint === undefined ? {} : { constraints: order.constraint }),
      ...(order.exclusive ? (fields.exclusive === 'word' ? { exclusive: 'exclusive' } : { shared: ['none'] }) : {}),
      ...(order.container === undefined ? {} : { container: order.container }),
      ...(order.array === undefined ? {} : { array: order.array }),
      ...(order.dependency === undefined ? {} : { dependency: order.dependency }),
    },
  };
}

const listed = (environment: BatchOrder['environment']): readonly string[] =>
  Object.entries(environment).map(([name, value]) => `${name}=${value}`);

const flagged = (number: number) => ({ set: true, infinite: false, number });

const amount = (fields: VersionFields, number: number) => (fields.numbers === 'plain' ? number : flagged(number));

function begin(fields: VersionFields, beginMs: number, nowMs: number) {
  if (fields.begin === 'from-now') return `now+${Math.max(0, Math.ceil((beginMs - nowMs) / 1000))}`;
  const seconds = Math.ceil(beginMs / 1000);
  return fields.begin === 'seconds' ? seconds : flagged(seconds);
}

/** `gpu:2,ssd:1` with the version's prefix before each. */
const gres = (fields: VersionFields, text: string): string =>
  text
    .split(',')
    .map((each) => `${fields.gres.prefix}${each}`)
    .join(',');

export interface Submitted {
  readonly jobId: string;
  /** Slurm took it, and says that it can never run (2015), or that it left out a part of what was asked: it is to be cancelled. */
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
  const ignored = warningsIn(answer).filter((text) => /ignoring unknown field/i.test(text));
  return {
    jobId: String(id),
    impossible:
      never !== undefined
        ? restFailure([never], 'Slurm could never start the job')
        : ignored.length > 0
          ? new SlurmFailure({
              kind: 'invalid',
              message: `slurmrestd leaves out what was asked: ${ignored.join('; ')}`,
            })
          : undefined,
  };
}

function warningsIn(answer: unknown): readonly string[] {
  const { warnings } = (typeof answer === 'object' && answer !== null ? answer : {}) as { readonly warnings?: unknown };
  if (!Array.isArray(warnings)) return [];
  return warnings.slice(0, 20).map((w: unknown) => {
    const { description } = (typeof w === 'object' && w !== null ? w : {}) as { readonly description?: unknown };
    return typeof description === 'string' ? description.slice(0, 300) : '';
  });
}
