/**
 * Jobs that a job waits for. What has ended is judged here, by our own rows, and is not passed on: a scheduler forgets its ended jobs within minutes
 * and would refuse, or worse, take a number it gave again for the job that is meant.
 */
import type { Queries } from '../database/index.ts';
import type { Caller } from '../identity/index.ts';
import { type FieldError, Problem } from '../problems.ts';
import { type Dependency, type Job, jobEnded } from './job.ts';
import type { JobDependency } from './scheduler.ts';
import { jobsById } from './store.ts';

export type Standing = 'met' | 'open' | 'impossible';

/** A job that ended without having been started counts as started, as it does for Slurm: nothing more will come of it. */
export function standing({ state, attempts }: Pick<Job, 'state' | 'attempts'>, when: Dependency['when']): Standing {
  const ended = jobEnded(state);
  switch (when) {
    case 'started':
      return ended || attempts.length > 0 ? 'met' : 'open';
    case 'ended':
      return ended ? 'met' : 'open';
    case 'succeeded':
      if (!ended) return 'open';
      return state === 'completed' ? 'met' : 'impossible';
    case 'failed':
      if (!ended) return 'open';
      return state === 'completed' ? 'impossible' : 'met';
  }
}

interface Where {
  readonly project: string;
  readonly cluster: string;
}

/** Throws `invalid-request`: a job that does not exist, or that the caller may not see, or that can never come to what is waited for. */
export async function checkDependencies(
  db: Queries,
  caller: Caller,
  { dependsOn = [], project, cluster }: Where & { readonly dependsOn?: readonly Dependency[] | undefined },
): Promise<void> {
  const jobs = await jobsById(
    db,
    dependsOn.map((d) => d.job),
  );
  const errors: FieldError[] = [];
  for (const [i, { job: id, when }] of dependsOn.entries()) {
    const job = jobs.get(id);
    const seen = caller.kind !== 'token' || (job !== undefined && caller.environments.includes(job.environment));
    if (job === undefined || job.project !== project || job.cluster !== cluster || !seen)
      errors.push({ pointer: `#/dependsOn/${i}/job`, detail: `project ${project} has no job ${id} on ${cluster}` });
    else if (standing(job, when) === 'impossible')
      errors.push({ pointer: `#/dependsOn/${i}`, detail: `job ${id} is ${job.state}: this can never be` });
  }
  if (errors.length > 0) throw new Problem('invalid-request', 'The job cannot wait for that.', { errors });
}

export type Readiness =
  | { readonly kind: 'ready'; readonly dependsOn: readonly JobDependency[] }
  /** One of them has not reached the scheduler itself. */
  | { readonly kind: 'not-yet' }
  | { readonly kind: 'impossible'; readonly reason: string };

/** What is still to be waited for, as the scheduler is told it. */
export async function dependenciesNow(db: Queries, job: Job): Promise<Readiness> {
  const { dependsOn = [] } = job.spec;
  if (dependsOn.length === 0) return { kind: 'ready', dependsOn: [] };
  const jobs = await jobsById(
    db,
    dependsOn.map((d) => d.job),
  );
  const open: JobDependency[] = [];
  for (const { job: id, when } of dependsOn) {
    const on = jobs.get(id);
    if (on === undefined) return { kind: 'impossible', reason: `job ${id}, which it depends on, is gone` };
    const now = standing(on, when);
    if (now === 'impossible')
      return { kind: 'impossible', reason: `job ${id}, which it depends on, is ${on.state}: it can never begin` };
    if (now === 'met') continue;
    if (on.nativeId === null) return { kind: 'not-yet' };
    open.push({ key: id, when });
  }
  return { kind: 'ready', dependsOn: open };
}
