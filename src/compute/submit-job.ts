/**
 * Submits a job: the rules of its environment and project, then a row, then the scheduler. The row comes first, so that a crash between
 * the two leaves a job that follow-jobs hands over again under the same key: one known job, never two.
 */
import { newId } from '../id.ts';
import type { Caller } from '../identity/index.ts';
import type { Target } from '../policy/index.ts';
import { Problem } from '../problems.ts';
import { checkDependencies } from './dependencies.ts';
import type { ComputeDeps } from './deps.ts';
import { executableScript } from './executable-script.ts';
import { handOver } from './hand-over.ts';
import { type Job, type JobSpec, NO_FACTS, tasksOf } from './job.ts';
import { checkFeatures, checkRules } from './job-rules.ts';
import { countWaiting, insertJob, jobByKey } from './store.ts';

/** As it is asked for: a script, or an executable of which one is made. */
export type JobWish = Omit<JobSpec, 'script'> & { readonly script?: string | undefined };

export interface SubmitJobInput {
  readonly target: Target;
  readonly spec: JobWish;
  /** A second job with the same key in the project is the first one. */
  readonly key: string | null;
  /** Of the request that submits it. */
  readonly requestId: string;
}

/**
 * Throws `unknown-tier`, `parameter-out-of-bounds`, `not-supported-here`, `invalid-request` (dependencies), `limit-reached` or what a stream attachment lacks before
 * anything is stored; `job-too-large`, `limit-reached`, `account-refused` where the scheduler says so: the job has failed then.
 */
export async function submitJob(deps: ComputeDeps, caller: Caller, input: SubmitJobInput): Promise<Job> {
  const { project, environment } = input.target;
  if (input.key !== null) {
    const earlier = await jobByKey(deps.db, project.name, input.key);
    if (earlier !== undefined) return sameRequest(earlier, environment.name);
  }
  const spec: JobSpec = { ...input.spec, script: scriptOf(input.spec) };
  const scheduler = deps.schedulers.get(environment.cluster);
  if (scheduler === undefined) throw new Error(`cluster ${environment.cluster} has no scheduler`);
  checkRules(deps.facility, input.target, spec);
  checkFeatures(scheduler, environment.cluster, spec);
  const where = { project: project.name, cluster: environment.cluster };
  await checkDependencies(deps.db, caller, { ...where, dependsOn: spec.dependsOn });
  await deps.checkStreams({ project: project.name, environment: environment.name, streams: spec.streams });
  await checkWaiting(deps, input.target, tasksOf(spec));
  const now = new Date(deps.clock.now());
  const job: Job = {
    id: newId('job'),
    project: project.name,
    environment: environment.name,
    cluster: environment.cluster,
    nativeId: null,
    spec,
    state: 'accepted',
    reason: 'on its way to the scheduler',
    facts: NO_FACTS,
    submittedBy: caller.id,
    subject: caller.subject,
    requestId: input.requestId,
    cancelRequestedAt: null,
    submittedAt: now,
    updatedAt: now,
    attempts: [],
  };
  if (!(await insertJob(deps.db, job, input.key))) {
    const first = input.key === null ? undefined : await jobByKey(deps.db, project.name, input.key);
    if (first === undefined) throw new Error(`job ${job.id} could not be stored`);
    return sameRequest(first, environment.name);
  }
  return handOver(deps, job);
}

/** A key is the project's: with it, a token of another environment must not obtain a job it may not see. */
function sameRequest(earlier: Job, environment: string): Job {
  if (earlier.environment === environment) return earlier;
  throw new Problem('idempotency-key-reused', 'This Idempotency-Key was used in another environment of the project.');
}

function scriptOf({ script, executable }: JobWish): string {
  if (executable !== undefined && script === undefined) return executableScript(executable);
  if (script !== undefined && executable === undefined) return script;
  const errors = [{ pointer: '#/script', detail: 'either a script or an executable' }];
  throw new Problem('invalid-request', 'A job is a script or an executable.', { errors });
}

/** Each task of an array counts: all of them wait. */
async function checkWaiting(deps: ComputeDeps, { project }: Target, more: number): Promise<void> {
  const waiting = await countWaiting(deps.db, project.name);
  const { queuedJobs } = project.limits;
  if (waiting + more <= queuedJobs) return;
  const added = more === 1 ? '' : ` and would have ${more} more`;
  const detail = `Project ${project.name} has ${waiting} jobs waiting${added}, its limit is ${queuedJobs}.`;
  throw new Problem('limit-reached', detail, { limit: 'queuedJobs' });
}
