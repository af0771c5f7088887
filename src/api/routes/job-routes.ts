/** Jobs over HTTP. */
import {
  type Asking,
  type ComputeDeps,
  cancelJob,
  followOutput,
  holdJob,
  type Job,
  jobById,
  jobsPage,
  readOutput,
  releaseJob,
  requeueJob,
  signalJob,
  submitJob,
  updateJob,
} from '../../compute/index.ts';
import type { Caller } from '../../identity/index.ts';
import {
  type Circumstances,
  type Policy,
  policyResource,
  resolveTarget,
  resourceOf,
  type Target,
} from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import type { Located } from '../exchange.ts';
import { listedEnvironments, listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';
import { outputEvents, readPlace } from './output-events.ts';

type JobRoutes = Pick<
  Routes,
  | 'job.submit'
  | 'job.list'
  | 'job.show'
  | 'job.cancel'
  | 'job.hold'
  | 'job.release'
  | 'job.requeue'
  | 'job.update'
  | 'job.signal'
  | 'job.output'
  | 'job.follow'
>;

export interface JobRoutesDeps extends ComputeDeps {
  readonly policy: Pick<Policy, 'authorize'>;
  readonly circumstances: (caller: Caller, action: 'job:submit') => Circumstances;
}

interface Asked {
  readonly caller: Caller;
  readonly requestId: string;
}

export function jobRoutes(deps: JobRoutesDeps): JobRoutes {
  const locate = async ({ params }: { readonly params: { readonly id: string } }): Promise<Located> => {
    const job = await jobById(deps.db, params.id);
    if (job === undefined) throw new Problem('not-found', `No job ${params.id}, or none that you may see.`);
    return { resource: resourceOf(deps.facility, job), label: `job/${job.id}`, row: job };
  };
  const locateControlled = async (call: { readonly params: { readonly id: string } }): Promise<Located> => {
    const located = await locate(call);
    return { ...located, resource: { ...located.resource, tier: (located.row as Job).spec.tier } };
  };
  const by = ({ caller, requestId }: Asked): Asking => ({ person: caller.subject, requestId });
  const targetOf = (caller: Caller, { project, environment }: Job): Target =>
    resolveTarget(deps.facility, caller, { project, environment });
  /** Another tier is what a submission would have had to ask for: who may not submit with it may not change to it. */
  const permitTier = (caller: Caller, { resource }: Located, tier: string): void =>
    void deps.policy.authorize({
      caller,
      action: 'job:submit',
      resource: { ...resource, tier },
      circumstances: deps.circumstances(caller, 'job:submit'),
    });
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
    'job.hold': {
      locate: locateControlled,
      handle: async (call) => jobView(await holdJob(deps, by(call), call.located.row as Job)),
    },
    'job.release': {
      locate: locateControlled,
      handle: async (call) => jobView(await releaseJob(deps, by(call), call.located.row as Job)),
    },
    'job.requeue': {
      locate: locateControlled,
      handle: async (call) => jobView(await requeueJob(deps, by(call), call.located.row as Job)),
    },
    'job.update': {
      locate: locateControlled,
      async handle({ caller, requestId, body, located }) {
        const job = located.row as Job;
        if (body.tier !== undefined && body.tier !== job.spec.tier) permitTier(caller, located, body.tier);
        const target = targetOf(caller, job);
        return jobView(await updateJob(deps, job, { target, change: body, by: by({ caller, requestId }) }));
      },
    },
    'job.signal': {
      locate: locateControlled,
      handle: async ({ body, located, ...call }) =>
        jobView(await signalJob(deps, located.row as Job, { signal: body.signal, by: by(call) })),
    },
    'job.output': { locate, handle: ({ located, query }) => readOutput(deps, located.row as Job, query) },
    'job.follow': {
      locate,
      handle({ located, query, signal, lastEventId }) {
        const { id } = located.row as Job;
        const from = readPlace(lastEventId, query);
        return outputEvents(followOutput(deps, id, { ...query, from, signal }));
      },
    },
  };
}

export function jobView(job: Job) {
  const { spec, facts } = job;
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
    reasonCode: facts.reasonCode,
    expectedStart: facts.expectedStartMs === null ? null : new Date(facts.expectedStartMs).toISOString(),
    partition: facts.partition ?? spec.partition ?? null,
    account: facts.account,
    unixUser: facts.unixUser,
    nodes: spec.nodes,
    slotsPerNode: spec.slotsPerNode,
    timeLimitSeconds: spec.timeLimitSeconds,
    notBefore: spec.notBefore ?? null,
    array: spec.array === undefined ? null : { ...spec.array },
    tasks: facts.tasks === null ? null : { ...facts.tasks },
    dependsOn: (spec.dependsOn ?? []).map((d) => ({ ...d })),
    streams: spec.streams.map((s) => ({ ...s })),
    submittedBy: job.submittedBy,
    submittedAt: job.submittedAt.toISOString(),
    updatedAt: job.updatedAt.toISOString(),
    attempts: job.attempts.map((a) => ({
      task: a.task,
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
