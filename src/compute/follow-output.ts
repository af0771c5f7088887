/**
 * Follows an attempt's output to its end, or all attempts' to the job's: what is written comes as it comes, in whole characters, each part with the place from which to go on.
 * Holds nothing between two parts; looks again after half a second, and every two seconds where nothing has come for a while.
 */
import { Problem } from '../problems.ts';
import type { ComputeDeps } from './deps.ts';
import { type Attempt, type Job, jobEnded } from './job.ts';
import { attemptsOfTask, type OutputPart, readOutput } from './read-output.ts';
import { jobById } from './store.ts';

const PART_BYTES = 65_536;
const LOOK_MS = 500;
const IDLE_LOOK_MS = 2000;
/** So many looks without anything, and it is looked at less often. */
const PATIENT_LOOKS = 20;

/** Where to go on: of which attempt, from which byte. */
export interface OutputPlace {
  readonly attempt: number;
  readonly offset: number;
}

export interface FollowQuery {
  readonly file: 'stdout' | 'stderr';
  readonly task?: number | undefined;
  /** Absent: from the start of the newest attempt, or of the oldest where all are followed. */
  readonly from?: OutputPlace | undefined;
  /** `all`: go on with the next attempt when one is over, until the job has ended. */
  readonly attempts: 'one' | 'all';
  readonly signal: AbortSignal;
}

export type OutputEvent =
  | { readonly kind: 'output'; readonly part: OutputPart }
  /** What follows is this attempt's. */
  | { readonly kind: 'attempt'; readonly task: number | null; readonly attempt: number }
  | { readonly kind: 'end'; readonly job: Job; readonly attempt: Attempt | undefined };

/** Throws the Problem of a job or attempt that is not there; waits while the scheduler is away. Returns when the signal says so. */
export async function* followOutput(deps: ComputeDeps, id: string, query: FollowQuery): AsyncGenerator<OutputEvent> {
  const { signal } = query;
  let place = query.from;
  let quiet = 0;
  for (let job = await jobNow(deps, id); !signal.aborted; ) {
    place ??= startOf(job, query);
    const part = await partAt(deps, job, { ...query, place });
    if (part !== undefined && part.text !== '') {
      quiet = 0;
      place = { attempt: part.attempt, offset: part.nextOffset };
      yield { kind: 'output', part };
      continue;
    }
    if (part?.ended === true) {
      const attempt = attemptsOfTask(job, query.task).find((a) => a.attempt === place?.attempt);
      // Read once more from now: the next attempt may have begun since this copy was made.
      job = await jobNow(deps, id);
      const next = query.attempts === 'all' ? nextAttempt(job, query, place) : undefined;
      if (next !== undefined) {
        place = { attempt: next.attempt, offset: 0 };
        yield { kind: 'attempt', task: next.task, attempt: next.attempt };
        continue;
      }
      if (query.attempts === 'one' || jobEnded(job.state)) {
        yield { kind: 'end', job, attempt };
        return;
      }
    }
    quiet += 1;
    await pause(deps, quiet > PATIENT_LOOKS ? IDLE_LOOK_MS : LOOK_MS, signal);
    if (!signal.aborted) job = await jobNow(deps, id);
  }
}

async function jobNow(deps: ComputeDeps, id: string): Promise<Job> {
  const job = await jobById(deps.db, id);
  if (job === undefined) throw new Problem('not-found', `No job ${id}.`);
  return job;
}

function startOf(job: Job, { task, attempts }: FollowQuery): OutputPlace | undefined {
  const first = attemptsOfTask(job, task).at(attempts === 'all' ? 0 : -1);
  return first === undefined ? undefined : { attempt: first.attempt, offset: 0 };
}

function nextAttempt(job: Job, { task }: FollowQuery, place: OutputPlace | undefined): Attempt | undefined {
  return attemptsOfTask(job, task).find((a) => a.attempt > (place?.attempt ?? 0));
}

/** Undefined while the scheduler cannot be asked: that passes. */
async function partAt(
  deps: ComputeDeps,
  job: Job,
  { file, task, place }: FollowQuery & { readonly place: OutputPlace | undefined },
): Promise<OutputPart | undefined> {
  try {
    return await readOutput(deps, job, {
      file,
      task,
      attempt: place?.attempt,
      offset: place?.offset ?? 0,
      limit: PART_BYTES,
    });
  } catch (cause) {
    if (cause instanceof Problem && cause.code === 'unavailable') return undefined;
    throw cause;
  }
}

function pause({ clock }: ComputeDeps, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stop();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const stop = clock.after(ms, done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
