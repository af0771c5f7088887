/** Writes what has become of a job, and says so in the outbox in the same transaction: an ended job's claims on streams are then let go. */
import { emit, transaction } from '../database/index.ts';
import type { ComputeDeps } from './deps.ts';
import { type Job, jobEnded } from './job.ts';
import { saveProgress } from './store.ts';

export const JOB_CHANGED = 'compute.job-changed';

/** Changes nothing where the job has ended already. */
export async function saveJob(deps: ComputeDeps, job: Job): Promise<void> {
  const known = { ...job, updatedAt: new Date(deps.clock.now()) };
  await transaction(deps.db, async (trx) => {
    if (!(await saveProgress(trx, known))) return;
    const streams = known.spec.streams.map((s) => s.stream);
    await emit(trx, {
      topic: JOB_CHANGED,
      key: known.id,
      payload: { job: known.id, state: known.state, ended: jobEnded(known.state), streams },
    });
  });
}
