/** Changes a job's name, time limit, tier or earliest start, within the bounds of a submission. */
import type { Target } from '../policy/index.ts';
import { defined } from './defined.ts';
import type { ComputeDeps } from './deps.ts';
import type { Job, JobSpec } from './job.ts';
import { checkUpdate } from './job-rules.ts';
import { type ControlOrder, orderControl } from './order-control.ts';
import type { Asking } from './scheduler.ts';

/** What is left out stays as it is. */
export interface JobChangeWish {
  readonly name?: string | undefined;
  readonly timeLimitSeconds?: number | undefined;
  readonly tier?: string | undefined;
  /** ISO 8601, UTC. */
  readonly notBefore?: string | undefined;
}

export interface UpdateOrder {
  readonly target: Target;
  readonly change: JobChangeWish;
  readonly by: Asking;
}

/** Throws `unknown-tier` and `parameter-out-of-bounds` before anything is asked, then what `orderControl` throws. */
export async function updateJob(deps: ComputeDeps, job: Job, { target, change, by }: UpdateOrder): Promise<Job> {
  const { name, timeLimitSeconds, tier, notBefore } = change;
  const changed = (spec: JobSpec): JobSpec => ({ ...spec, ...defined({ name, timeLimitSeconds, tier, notBefore }) });
  if (timeLimitSeconds !== undefined || tier !== undefined) checkUpdate(deps.facility, target, changed(job.spec));
  const notBeforeMs = notBefore === undefined ? undefined : Date.parse(notBefore);
  const asked = defined({ name, timeLimitSeconds, tier, notBefore: notBeforeMs });
  const ask: ControlOrder['ask'] = (control, id) => control.update(id, asked, by);
  return orderControl(deps, job, { feature: 'update', change: changed, ask });
}
