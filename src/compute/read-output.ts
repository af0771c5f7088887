/** Reads a part of an attempt's output through its scheduler: the file may be on another host. Which file is the scheduler's own record, never the caller's. */
import { Problem } from '../problems.ts';
import type { ComputeDeps } from './deps.ts';
import { type Attempt, type Job, jobEnded } from './job.ts';
import { onNative } from './on-native.ts';
import { SchedulerError } from './scheduler.ts';
import { schedulerProblem } from './scheduler-problem.ts';

/** Of UTF-8 (RFC 3629). */
const LONGEST_CHARACTER_BYTES = 4;

export interface OutputPart {
  readonly task: number | null;
  readonly attempt: number;
  readonly text: string;
  readonly nextOffset: number;
  /** The attempt is over: no more will come. */
  readonly ended: boolean;
}

export interface OutputQuery {
  readonly file: 'stdout' | 'stderr';
  /** Of an array: which. */
  readonly task?: number | undefined;
  readonly attempt?: number | undefined;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Bytes at the most. */
  readonly limit: number;
}

export type OutputDeps = Pick<ComputeDeps, 'schedulers'>;

/** Throws `not-found` where there is no such attempt, `not-supported-here` where the output went to a path of its own, `unavailable`. Output not written yet is empty, not an error. */
export async function readOutput(deps: OutputDeps, job: Job, query: OutputQuery): Promise<OutputPart> {
  checkWhere(job, query);
  const own = attemptsOfTask(job, query.task);
  const attempt = query.attempt === undefined ? own.at(-1) : own.find((a) => a.attempt === query.attempt);
  if (attempt === undefined) {
    if (query.attempt !== undefined) throw new Problem('not-found', `Job ${job.id} has no attempt ${query.attempt}.`);
    const nothing = { attempt: 1, text: '', nextOffset: query.offset, ended: jobEnded(job.state) };
    return { task: query.task ?? null, ...nothing };
  }
  const ended = attempt.endedAt !== null || jobEnded(job.state);
  // Never less than one whole character: a smaller part could not move on past it.
  const limit = Math.max(query.limit, LONGEST_CHARACTER_BYTES);
  const bytes = await bytesOf(deps, job, { attempt, file: query.file, offset: query.offset, limit });
  const whole = wholeCharacters(bytes, ended);
  const { task, attempt: number } = attempt;
  return { task, attempt: number, text: whole.toString('utf8'), nextOffset: query.offset + whole.length, ended };
}

/** Oldest first. */
export function attemptsOfTask(job: Pick<Job, 'attempts'>, task: number | undefined): readonly Attempt[] {
  return job.attempts.filter((a) => a.task === (task ?? null));
}

function checkWhere({ id, spec }: Job, { file, task }: OutputQuery): void {
  const path = file === 'stdout' ? spec.stdoutPath : spec.stderrPath;
  if (path !== undefined)
    throw new Problem('not-supported-here', `Job ${id} writes its ${file} to ${path}; read it there.`);
  if (spec.array !== undefined && task === undefined)
    throw new Problem('invalid-request', `Job ${id} is an array.`, {
      errors: [{ pointer: 'query:/task', detail: 'name a task: each has its own output' }],
    });
}

interface Part {
  readonly attempt: Attempt;
  readonly file: 'stdout' | 'stderr';
  readonly offset: number;
  readonly limit: number;
}

async function bytesOf(deps: OutputDeps, job: Job, { attempt, ...part }: Part): Promise<Buffer> {
  const { nativeId } = job;
  const scheduler = deps.schedulers.get(job.cluster);
  if (scheduler === undefined || nativeId === null) return Buffer.alloc(0);
  const task = attempt.task === null ? {} : { task: attempt.task };
  const range = { ...task, attempt: attempt.attempt, ...part };
  try {
    return (await onNative({ id: job.id, nativeId }, (id) => scheduler.output(id, range))).bytes;
  } catch (cause) {
    if (!(cause instanceof SchedulerError)) throw cause;
    if (cause.kind === 'not-found')
      throw new Problem('not-found', `The scheduler keeps no output of job ${job.id} any more: ${cause.message}`);
    throw schedulerProblem(cause);
  }
}

/** A UTF-8 character cut by the end of the part is left for the next one, unless the file is over. */
function wholeCharacters(bytes: Buffer, ended: boolean): Buffer {
  if (ended && bytes.length < LONGEST_CHARACTER_BYTES) return bytes;
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}
