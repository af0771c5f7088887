/**
 * Hands an accepted job to its scheduler under its own id as key, so that it may be repeated after any crash. A scheduler that is away leaves
 * the job accepted; one that refuses it ends it as failed, with the reason.
 */

import { transaction } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { ComputeDeps } from './deps.ts';
import { follow, type Job } from './job.ts';
import { saveJob, tellChange } from './save-job.ts';
import { SchedulerError } from './scheduler.ts';
import { saveProgress } from './store.ts';

export interface HandOverOptions {
  /** Nobody asks just now: whoever follows jobs does it, and that is to be recorded. */
  readonly tell: boolean;
}

/** Throws only what the caller can mend (`job-too-large`, `limit-reached`, `invalid-request`); the job then has failed. */
export async function handOver(deps: ComputeDeps, job: Job, { tell }: HandOverOptions = { tell: false }): Promise<Job> {
  const scheduler = deps.schedulers.get(job.cluster);
  if (scheduler === undefined) throw new Error(`cluster ${job.cluster} has no scheduler`);
  const { spec } = job;
  try {
    const claims = await deps.claimStreams(job);
    const native = await scheduler.submit({
      key: job.id,
      name: spec.name,
      project: job.project,
      user: job.subject,
      tier: spec.tier,
      script: spec.script,
      arguments: spec.arguments,
      environment: spec.variables,
      nodes: spec.nodes,
      slotsPerNode: spec.slotsPerNode,
      timeLimitSeconds: spec.timeLimitSeconds,
      requeue: spec.requeue,
      claims,
    });
    const known = follow(job, native, new Date(deps.clock.now()));
    await transaction(deps.db, async (trx) => {
      if ((await saveProgress(trx, known)) && tell) await tellChange(trx, known, 'handed-over');
    });
    return known;
  } catch (cause) {
    const passing =
      cause instanceof Problem ? cause.status >= 500 : cause instanceof SchedulerError && cause.kind === 'unavailable';
    if (passing) {
      deps.log.warn({ job: job.id, err: cause }, 'a job could not be handed over yet');
      return job;
    }
    if (cause instanceof Problem) {
      // For example, a stream it is attached to was released: that does not pass.
      await saveJob(deps, { ...job, state: 'failed', reason: cause.message });
      throw cause;
    }
    if (!(cause instanceof SchedulerError)) throw cause;
    await saveJob(deps, { ...job, state: 'failed', reason: `the scheduler refused it: ${cause.message}` });
    throw problemOf(cause);
  }
}

function problemOf(error: SchedulerError): Problem {
  switch (error.kind) {
    case 'too-large':
      return new Problem('job-too-large', error.message);
    case 'limit':
      return new Problem('limit-reached', error.message);
    case 'unknown-tier':
      return new Problem('unknown-tier', error.message);
    case 'refused':
    case 'invalid':
    case 'not-found':
      return new Problem('invalid-request', error.message);
    case 'unavailable':
      return new Problem('unavailable', error.message, { retryAfterSeconds: 2 });
  }
}
