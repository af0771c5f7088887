/** What a job may ask for: the tiers and bounds of its environment and project, and what its cluster's scheduler can. Nothing is stored before these hold. */
import type { Facility } from '../facility/index.ts';
import type { Target } from '../policy/index.ts';
import { type FieldError, Problem } from '../problems.ts';
import { type JobSpec, tasksOf } from './job.ts';
import type { Scheduler, SchedulerFeature } from './scheduler.ts';

/** Of one array: each task that runs is a row and a folder. */
export const MOST_TASKS = 10_000;

interface Need {
  readonly field: keyof JobSpec;
  readonly feature: SchedulerFeature;
}

const NEEDS: readonly Need[] = [
  { field: 'array', feature: 'array' },
  { field: 'constraint', feature: 'constraint' },
  { field: 'container', feature: 'container' },
  { field: 'dependsOn', feature: 'dependency' },
  { field: 'exclusive', feature: 'exclusive' },
  { field: 'gres', feature: 'gres' },
  { field: 'hold', feature: 'hold' },
  { field: 'memoryMiBPerNode', feature: 'memory' },
  { field: 'stdoutPath', feature: 'output-paths' },
  { field: 'stderrPath', feature: 'output-paths' },
  { field: 'partition', feature: 'partition' },
  { field: 'reservation', feature: 'reservation' },
  { field: 'resubmitIfLost', feature: 'resubmit' },
];

/** False and an empty list ask for nothing. */
function asksFor(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}

/** Throws `not-supported-here`, naming every field and the cluster. */
export function checkFeatures(scheduler: Pick<Scheduler, 'features'>, cluster: string, spec: JobSpec): void {
  const errors: FieldError[] = NEEDS.filter(
    ({ field, feature }) => asksFor(spec[field]) && !scheduler.features.has(feature),
  ).map(({ field }) => ({ pointer: `#/${field}`, detail: `cluster ${cluster} has no such thing` }));
  if (errors.length > 0)
    throw new Problem('not-supported-here', `The scheduler of cluster ${cluster} cannot do this.`, { errors });
}

/** Throws `unknown-tier`, `invalid-request` or `parameter-out-of-bounds`. */
export function checkRules(facility: Facility, target: Target, spec: JobSpec): void {
  const { environment } = target;
  const errors: FieldError[] = [...timeErrors(facility, target, spec)];
  const slots = spec.nodes * spec.slotsPerNode;
  if (slots > environment.jobs.maxSlots)
    errors.push({
      pointer: '#/slotsPerNode',
      detail: `${spec.nodes} x ${spec.slotsPerNode} slots are more than the ${environment.jobs.maxSlots} a job may hold in ${environment.name}`,
    });
  if (tasksOf(spec) > MOST_TASKS)
    errors.push({ pointer: '#/array', detail: `${tasksOf(spec)} tasks are more than the ${MOST_TASKS} of one array` });
  if (errors.length > 0)
    throw new Problem('parameter-out-of-bounds', `${environment.name} does not allow this job.`, { errors });
  if (spec.array !== undefined && spec.streams.length > 0)
    throw new Problem('invalid-request', 'An array cannot attach streams.', {
      errors: [
        {
          pointer: '#/array',
          detail: 'a claim on a stream is one attempt’s: submit a job for each task that needs it',
        },
      ],
    });
}

/** Of a change: the same bounds as of a submission. */
export function checkUpdate(
  facility: Facility,
  target: Target,
  spec: Pick<JobSpec, 'tier' | 'timeLimitSeconds'>,
): void {
  const errors = timeErrors(facility, target, spec);
  if (errors.length > 0)
    throw new Problem('parameter-out-of-bounds', `${target.environment.name} does not allow this.`, { errors });
}

function timeErrors(
  facility: Facility,
  { project, environment }: Target,
  spec: Pick<JobSpec, 'tier' | 'timeLimitSeconds'>,
): readonly FieldError[] {
  const allowed = environment.tiers.filter((t) => project.tiers.includes(t));
  const tier = facility.tiers.get(spec.tier);
  if (tier === undefined || !allowed.includes(tier.name)) {
    throw new Problem('unknown-tier', `Project ${project.name} may not use tier ${spec.tier} in ${environment.name}.`, {
      errors: [{ pointer: '#/tier', detail: `one of ${allowed.join(', ')}` }],
    });
  }
  const longest = Math.min(environment.jobs.maxTimeLimitSeconds, tier.maxTimeLimitSeconds);
  if (spec.timeLimitSeconds <= longest) return [];
  const detail = `at most ${longest} s for tier ${tier.name} in ${environment.name}`;
  return [{ pointer: '#/timeLimitSeconds', detail }];
}
