/** Writes what has become of a job, and says so in the outbox in the same transaction: an ended job's claims on streams are then let go. */
import { emit, type TransactionQueries, transaction } from '../database/index.ts';
import type { ComputeDeps } from './deps.ts';
import { changedAttempts, type Job, type JobState, jobEnded } from './job.ts';
import { saveProgress, saveSpec } from './store.ts';

export const JOB_CHANGED = 'compute.job-changed';

/** What became of a job: another state, or that it was handed to its scheduler by us and not by a request. */
export type JobAct = JobState | 'handed-over' | 'updated';

export interface SaveOptions {
  /** What is told of it; null: nothing. Default: its state, or `updated` where that stays. */
  readonly act?: JobAct | null;
}

/**
 * Writes what `before`, as it was read, has become; only what is new. The job as it stands then, or undefined where it has ended or somebody wrote it meanwhile: whoever was slower
 * reads again. `updatedAt` of a job therefore only grows.
 */
export async function saveJob(
  deps: ComputeDeps,
  { before, next }: { readonly before: Job; readonly next: Job },
  { act }: SaveOptions = {},
): Promise<Job | undefined> {
  const updatedAt = new Date(Math.max(deps.clock.now(), before.updatedAt.getTime() + 1));
  const known = { ...next, updatedAt };
  const told = act === undefined ? (known.state === before.state ? 'updated' : known.state) : act;
  const progress = { attempts: changedAttempts(before, known), basedOn: before.updatedAt };
  return transaction(deps.db, async (trx) => {
    if (!(await saveProgress(trx, known, progress))) return undefined;
    if (before.spec !== known.spec) await saveSpec(trx, known.id, known.spec);
    if (told !== null) await tellChange(trx, known, told);
    return known;
  });
}

async function tellChange(trx: TransactionQueries, job: Job, act: JobAct): Promise<void> {
  const { id, state, reason, project, subject, requestId } = job;
  const streams = job.spec.streams.map((s) => s.stream);
  const facts = { job: id, state, ended: jobEnded(state), streams, act, reason, project, subject, requestId };
  await emit(trx, { topic: JOB_CHANGED, key: id, payload: facts });
}
