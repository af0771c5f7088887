/**
 * Speaks to a scheduler about a job by its native id, or by our own key where that number means another job too: Slurm gives its last numbers
 * again when it dies without saving them, and then only the key names the job.
 */
import type { Job } from './job.ts';
import { SchedulerError } from './scheduler.ts';

/** Throws SchedulerError `not-found` where the scheduler knows neither. */
export async function onNative<T>(
  job: Pick<Job, 'id'> & { readonly nativeId: string },
  ask: (id: string) => Promise<T>,
): Promise<T> {
  try {
    return await ask(job.nativeId);
  } catch (cause) {
    if (!(cause instanceof SchedulerError) || cause.kind !== 'not-found') throw cause;
    return ask(job.id).catch((again: unknown) => {
      throw again instanceof SchedulerError && again.kind === 'not-found' ? cause : again;
    });
  }
}
