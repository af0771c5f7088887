/** A job of ours as its scheduler is given it. Pure. */
import { defined } from './defined.ts';
import type { Job } from './job.ts';
import type { JobDependency, SchedulerJobSpec, StreamClaim } from './scheduler.ts';

export interface AtHandOver {
  readonly claims: readonly StreamClaim[];
  readonly dependsOn: readonly JobDependency[];
}

export function schedulerSpec(job: Job, { claims, dependsOn }: AtHandOver): SchedulerJobSpec {
  const { spec } = job;
  const { workDir, stdoutPath, stderrPath, partition, reservation, gres, constraint, container } = spec;
  const { array, hold, exclusive, memoryMiBPerNode, resubmitIfLost, notBefore } = spec;
  return {
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
    ...defined({
      requestId: job.requestId === '' ? undefined : job.requestId,
      notBefore: notBefore === undefined ? undefined : Date.parse(notBefore),
      hold: hold === true ? true : undefined,
      exclusive: exclusive === true ? true : undefined,
      resubmitIfLost: resubmitIfLost === true ? true : undefined,
      dependsOn: dependsOn.length === 0 ? undefined : dependsOn,
      ...{ workDir, stdoutPath, stderrPath, partition, reservation, gres, constraint, container, memoryMiBPerNode },
    }),
    ...(array === undefined
      ? {}
      : { array: { first: array.first, last: array.last, step: array.step, ...defined({ atOnce: array.atOnce }) } }),
  };
}
