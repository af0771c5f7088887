/**
 * Submits a job: the rules of its environment and project, then a row, then the scheduler. The row comes first, so that a crash between
 * the two leaves a job that follow-jobs hands over again under the same key: one known job, never two.
 */
import { newId } from '../id.ts';
import type { Caller } from '../identity/index.ts';
import type { Target } from '../policy/index.ts';
import { type FieldError, Problem } from '../problems.ts';
import type { ComputeDeps } from './deps.ts';
import { handOver } from './hand-over.ts';
import type { Job, JobSpec } from './job.ts';
import { countWaiting, insertJob, jobByKey } from './store.ts';

export interface SubmitJobInput {
  readonly target: Target;
  readonly spec: JobSpec;
  /** A second job with the same key in the project is the first one. */
  readonly key: string | null;
  /** Of the request that submits it. */
  readonly requestId: string;
}

/** Throws `unknown-tier`, `parameter-out-of-bounds`, `job-too-large`, `limit-reached`, or what a stream attachment lacks. */
export async function submitJob(deps: ComputeDeps, caller: Caller, input: SubmitJobInput): Promise<Job> {
  const { project, environment } = input.target;
  if (input.key !== null) {
    const earlier = await jobByKey(deps.db, project.name, input.key);
    if (earlier !== undefined) return sameRequest(earlier, environment.name);
  }
  checkRules(deps, input);
  await deps.checkStreams({ project: project.name, environment: environment.name, streams: input.spec.streams });
  const waiting = await countWaiting(deps.db, project.name);
  if (waiting >= project.limits.queuedJobs)
    throw new Problem(
      'limit-reached',
      `Project ${project.name} has ${waiting} jobs waiting, its limit is ${project.limits.queuedJobs}.`,
    );
  const now = new Date(deps.clock.now());
  const job: Job = {
    id: newId('job'),
    project: project.name,
    environment: environment.name,
    cluster: environment.cluster,
    nativeId: null,
    spec: input.spec,
    state: 'accepted',
    reason: 'on its way to the scheduler',
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

function checkRules(deps: ComputeDeps, input: SubmitJobInput): void {
  const { project, environment } = input.target;
  const { spec } = input;
  const allowed = environment.tiers.filter((t) => project.tiers.includes(t));
  const tier = deps.facility.tiers.get(spec.tier);
  if (tier === undefined || !allowed.includes(tier.name)) {
    throw new Problem('unknown-tier', `Project ${project.name} may not use tier ${spec.tier} in ${environment.name}.`, {
      errors: [{ pointer: '#/tier', detail: `one of ${allowed.join(', ')}` }],
    });
  }
  const errors: FieldError[] = [];
  const longest = Math.min(environment.jobs.maxTimeLimitSeconds, tier.maxTimeLimitSeconds);
  if (spec.timeLimitSeconds > longest)
    errors.push({
      pointer: '#/timeLimitSeconds',
      detail: `at most ${longest} s for tier ${tier.name} in ${environment.name}`,
    });
  const slots = spec.nodes * spec.slotsPerNode;
  if (slots > environment.jobs.maxSlots)
    errors.push({
      pointer: '#/slotsPerNode',
      detail: `${spec.nodes} x ${spec.slotsPerNode} slots are more than the ${environment.jobs.maxSlots} a job may hold in ${environment.name}`,
    });
  if (errors.length > 0)
    throw new Problem('parameter-out-of-bounds', `${environment.name} does not allow this job.`, { errors });
}
