/** Writes what has become of a job, and says so in the outbox in the same transaction: an ended job's claims on streams are then let go. */
import { emit, type TransactionQueries, transaction } from '../database/index.ts';
import type { ComputeDeps } from './deps.ts';
import { changedAttempts, type Job, type JobState, jobEnded } from './job.ts';
import { saveProgress, saveSpec } from './store.ts';

export const JOB_CHANGED = 'compute.job-changed';

/** What became of a job: another state, or that it was handed to its scheduler by us and not by a request. */
export type JobAct = JobState | 'handed-over' | 'updated';

/** Changes nothing where the job has ended already. `before`: as it was, so that only what is new is written and told. */
export async function saveJob(deps: ComputeDeps, job: Job, before?: Job): Promise<void> {
  const known = { ...job, updatedAt: new Date(deps.clock.now()) };
  const attempts = before === undefined ? known.attempts : changedAttempts(before, known);
  await transaction(deps.db, async (trx) => {
    if (!(await saveProgress(trx, known, attempts))) return;
    if (before !== undefined && before.spec !== known.spec) await saveSpec(trx, known.id, known.spec);
    await tellChange(trx, known, known.state === before?.state ? 'updated' : known.state);
  });
}

export async function tellChange(trx: TransactionQueries, job: Job, act: JobAct): Promise<void> {
  const { id, state, reason, project, subject, requestId } = job;
  const streams = job.spec.streams.map((s) => s.stream);
  const facts = { job: id, state, ended: jobEnded(state), streams, act, reason, project, subject, requestId };
  await emit(trx, { topic: JOB_CHANGED, key: id, payload: facts });
}
