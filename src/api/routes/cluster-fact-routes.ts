/** What a cluster's own tools say of it, over HTTP. */
import {
  type ClusterNode,
  type ComputeDeps,
  clusterDiagnostics,
  clusterNodes,
  clusterPartitions,
  clusterReservations,
  foreignJobs,
  type HistoryAnswer,
  jobHistory,
} from '../../compute/index.ts';
import type { PolicyResource } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import { listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';

type ClusterFactRoutes = Pick<
  Routes,
  | 'cluster.partitions'
  | 'cluster.nodes'
  | 'cluster.reservations'
  | 'cluster.diagnostics'
  | 'cluster.history'
  | 'cluster.whole-history'
  | 'cluster.foreign'
>;

type Deps = Pick<ComputeDeps, 'db' | 'clock' | 'facility' | 'schedulers'>;

const DAY_MS = 86_400_000;

export function clusterFactRoutes(deps: Deps): ClusterFactRoutes {
  return {
    'cluster.partitions': {
      locate: ofCluster,
      async handle({ params }) {
        const partitions = await clusterPartitions(deps, params.id);
        return {
          partitions: partitions.map(({ maxTimeSeconds = null, defaultTimeSeconds = null, ...p }) => ({
            ...p,
            maxTimeSeconds,
            defaultTimeSeconds,
          })),
        };
      },
    },
    'cluster.nodes': {
      locate: ofCluster,
      handle: async ({ params }) => ({ nodes: (await clusterNodes(deps, params.id)).map(nodeView) }),
    },
    'cluster.reservations': {
      locate: ofCluster,
      async handle({ params }) {
        const reservations = await clusterReservations(deps, params.id);
        return {
          // Whose they are is not said: accounts and people of other projects.
          reservations: reservations.map(({ name, startMs, endMs, nodes, nodeCount, partition, flags }) => ({
            ...{ name, start: iso(startMs), end: iso(endMs), nodes, nodeCount, partition, flags },
          })),
        };
      },
    },
    'cluster.diagnostics': {
      locate: ofCluster,
      async handle({ params }) {
        const { apiVersion = null, ...said } = await clusterDiagnostics(deps, params.id);
        return { ...said, apiVersion };
      },
    },
    'cluster.history': {
      locate: ({ caller, params, query }) => ({
        resource: listedProject(caller, query.project),
        label: `cluster/${params.id}`,
      }),
      async handle({ caller, params, query, located }) {
        const span = spanOf(deps, query);
        const page = { ...pageOf(query, span), project: projectOf(located.resource), ownProject: true };
        return historyView(await jobHistory(deps, caller, { cluster: params.id, page }), span);
      },
    },
    'cluster.whole-history': {
      locate: ofCluster,
      async handle({ caller, params, query }) {
        const span = spanOf(deps, query);
        const page = { ...pageOf(query, span), project: WHOLE, ownProject: false };
        return historyView(await jobHistory(deps, caller, { cluster: params.id, page }), span);
      },
    },
    'cluster.foreign': {
      locate: ({ caller, params, query }) => ({
        resource: listedProject(caller, query.project),
        label: `cluster/${params.id}`,
      }),
      async handle({ caller, params, located }) {
        const project = projectOf(located.resource);
        const jobs = await foreignJobs(deps, caller, { cluster: params.id, project });
        return { jobs: jobs.map(({ submittedAtMs, ...job }) => ({ ...job, submittedAt: iso(submittedAtMs) })) };
      },
    },
  };
}

/** Who asks for the whole cluster's asks for no project. */
const WHOLE = 'facility';

const iso = (ms: number): string => new Date(ms).toISOString();
const isoOrNull = (ms: number | undefined): string | null => (ms === undefined ? null : iso(ms));

function ofCluster({ params }: { readonly params: { readonly id: string } }) {
  return { resource: {}, label: `cluster/${params.id}` };
}

function projectOf({ project }: PolicyResource): string {
  if (project !== undefined) return project;
  throw new Problem('invalid-request', 'It is not clear whose jobs are meant.', {
    errors: [{ pointer: 'query:/project', detail: 'name the project' }],
  });
}

interface Span {
  readonly sinceMs: number;
  readonly untilMs: number;
}

interface PageQuery {
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly after?: string | undefined;
  readonly limit: number;
}

function spanOf({ clock }: Deps, { since, until }: PageQuery): Span {
  const untilMs = until === undefined ? clock.now() : Date.parse(until);
  return { untilMs, sinceMs: since === undefined ? untilMs - DAY_MS : Date.parse(since) };
}

function pageOf({ after, limit }: PageQuery, span: Span) {
  return { ...span, limit, ...(after === undefined ? {} : { after }) };
}

function historyView({ rows, next }: HistoryAnswer, { sinceMs, untilMs }: Span) {
  return {
    rows: rows.map(({ key = null, exitCode = null, submittedAtMs, startedAtMs, endedAtMs, ...row }) => ({
      ...row,
      job: key,
      exitCode,
      submittedAt: iso(submittedAtMs),
      startedAt: isoOrNull(startedAtMs),
      endedAt: isoOrNull(endedAtMs),
    })),
    next,
    since: iso(sinceMs),
    until: iso(untilMs),
  };
}

function nodeView(node: ClusterNode) {
  return {
    name: node.name,
    slots: node.slots,
    free: node.free,
    state: node.state,
    nativeState: node.nativeState ?? null,
    reason: node.reason ?? null,
    memoryMiB: node.memoryMiB ?? null,
    gres: node.gres ?? null,
    partitions: [...(node.partitions ?? [])],
  };
}
