/** Jobs over HTTP. */
import {
  type ComputeDeps,
  cancelJob,
  type Job,
  jobById,
  jobsPage,
  readOutput,
  submitJob,
} from '../../compute/index.ts';
import { policyResource, resolveTarget, resourceOf, type Target } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import type { Located } from '../exchange.ts';
import { listedEnvironments, listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';

type JobRoutes = Pick<Routes, 'job.submit' | 'job.list' | 'job.show' | 'job.cancel' | 'job.output'>;

export function jobRoutes(deps: ComputeDeps): JobRoutes {
  const locate = async ({ params }: { readonly params: { readonly id: string } }): Promise<Located> => {
    const job = await jobById(deps.db, params.id);
    if (job === undefined) throw new Problem('not-found', `No job ${params.id}, or none that you may see.`);
    return { resource: resourceOf(deps.facility, job), label: `job/${job.id}`, row: job };
  };
  return {
    'job.submit': {
      locate({ caller, body }) {
        const target = resolveTarget(deps.facility, caller, body);
        return { resource: { ...policyResource(target), tier: body.tier }, label: '', row: target };
      },
      async handle({ caller, body, located, idempotencyKey, requestId }) {
        const { project: _, environment: __, ...spec } = body;
        return jobView(
          await submitJob(deps, caller, {
            target: located.row as Target,
            spec,
            key: idempotencyKey ?? null,
            requestId,
          }),
        );
      },
    },
    'job.list': {
      locate: ({ caller, query }) => {
        const listed = listedProject(caller, query.project);
        if (query.environment === undefined) return { resource: listed, label: '' };
        const enclave = deps.facility.environments.get(query.environment)?.enclave;
        const within = { environment: query.environment, ...(enclave === undefined ? {} : { enclave }) };
        return { resource: { ...listed, ...within }, label: '' };
      },
      async handle({ caller, query, located }) {
        const { project } = located.resource;
        const environments = query.environment === undefined ? listedEnvironments(caller) : [query.environment];
        const jobs = await jobsPage(deps.db, {
          limit: query.limit,
          ...(project === undefined ? {} : { project }),
          ...(environments === undefined ? {} : { environments }),
          ...(query.state === undefined ? {} : { state: query.state }),
          ...(query.before === undefined ? {} : { before: query.before }),
        });
        return { jobs: jobs.map(jobView), next: jobs.length === query.limit ? (jobs.at(-1)?.id ?? null) : null };
      },
    },
    'job.show': { locate, handle: ({ located }) => jobView(located.row as Job) },
    'job.cancel': { locate, handle: async ({ located }) => jobView(await cancelJob(deps, located.row as Job)) },
    'job.output': { locate, handle: ({ located, query }) => readOutput(located.row as Job, query) },
  };
}

export function jobView(job: Job) {
  const { spec } = job;
  return {
    id: job.id,
    project: job.project,
    environment: job.environment,
    cluster: job.cluster,
    nativeId: job.nativeId,
    name: spec.name,
    tier: spec.tier,
    state: job.state,
    reason: job.reason,
    nodes: spec.nodes,
    slotsPerNode: spec.slotsPerNode,
    timeLimitSeconds: spec.timeLimitSeconds,
    streams: spec.streams.map((s) => ({ ...s })),
    submittedBy: job.submittedBy,
    submittedAt: job.submittedAt.toISOString(),
    updatedAt: job.updatedAt.toISOString(),
    attempts: job.attempts.map((a) => ({
      attempt: a.attempt,
      startedAt: a.startedAt.toISOString(),
      endedAt: a.endedAt?.toISOString() ?? null,
      placement: a.placement.map((p) => ({ node: p.node, slots: [...p.slots] })),
      outcome: a.outcome,
      exitCode: a.exitCode,
      signal: a.signal,
    })),
  };
}
