/**
 * The Scheduler port over the link to a cluster's Slurm agent. Holds no right and decides nothing: every method is an ask, and the agent's records are the truth of which
 * it keeps a copy (job-cache.ts). RFD 4.
 */
import { newId } from '../../id.ts';
import type { Asker, JobRecord } from '../../slurm/contract/index.ts';
import type { ClusterFacts } from '../cluster-facts.ts';
import {
  type Asking,
  hasEnded,
  type JobControl,
  type NativeJob,
  SCHEDULER_FEATURES,
  type Scheduler,
  SchedulerError,
  type SchedulerJobSpec,
} from '../scheduler.ts';
import type { ActQuestion, AgentLink } from './agent-links.ts';
import { type JobCache, jobCache } from './job-cache.ts';
import { asSchedulerError, known, nativeJob, schedulerTier } from './read-record.ts';

/** Facts are looked at by people, who give up sooner than a submission does. */
const FACTS_MS = 10_000;
const HISTORY_MS = 30_000;

type OneJobAct = 'show' | 'cancel' | 'hold' | 'release' | 'requeue' | 'update';

export function openSlurmScheduler(link: AgentLink): Scheduler {
  const cache = jobCache(link);

  /** Asks one act about one job; the copy learns what comes of it. */
  const about = async <A extends OneJobAct>(act: A, input: ActQuestion<A>): Promise<NativeJob> => {
    const record: JobRecord = await link.ask(act, input).catch(rethrow);
    cache.take(record);
    return nativeJob(record);
  };
  const refer = async (nativeId: string, by?: Asking) => {
    const record = await find(cache, nativeId);
    return { key: record.key, asker: askerOf(record, by) };
  };

  return {
    features: new Set(SCHEDULER_FEATURES),
    async submit(spec) {
      const record = await link.ask('submit', submitOrder(spec)).catch(rethrow);
      cache.take(record);
      return nativeJob(record);
    },
    async cancel(nativeId) {
      const record = await find(cache, nativeId);
      if (hasEnded(record.state)) return nativeJob(record);
      return about('cancel', { key: record.key, asker: askerOf(record) });
    },
    show: async (nativeId) => about('show', await refer(nativeId)),
    async list({ states, project } = {}) {
      await cache.refresh().catch(rethrow);
      return cache
        .all()
        .filter((r) => (project === undefined || r.project === project) && (states?.includes(r.state) ?? true))
        .map(nativeJob);
    },
    async changes(cursor) {
      await cache.refresh().catch(rethrow);
      const { jobs, ...rest } = cache.since(cursor);
      return { ...rest, jobs: jobs.map(nativeJob) };
    },
    async output(nativeId, range) {
      const answer = await link.ask('output', { ...(await refer(nativeId)), ...range }).catch(rethrow);
      return { bytes: Buffer.from(answer.bytes, 'base64'), size: answer.size };
    },
    control: controlOf(about, refer),
    async openTerminal(nativeId, order, by) {
      await link
        .ask('terminal', { ...(await refer(nativeId, by)), ...order, command: [...order.command] })
        .catch(rethrow);
    },
    facts: factsOf(link),
    async nodes() {
      const { nodes } = await link.ask('nodes', {}, { timeoutMs: FACTS_MS }).catch(rethrow);
      return nodes.map(({ name, slots, free, state }) => ({ name, slots, free, state }));
    },
    async tiers() {
      const { tiers } = await link.ask('tiers', {}, { timeoutMs: FACTS_MS }).catch(rethrow);
      return tiers.map(schedulerTier);
    },
    watch: (listener) => link.onChange(listener),
    // The link is not ours: the agent stays attached, and its jobs go on.
    close: async () => undefined,
  };
}

function controlOf(
  about: <A extends OneJobAct>(act: A, input: ActQuestion<A>) => Promise<NativeJob>,
  refer: (nativeId: string, by: Asking) => Promise<{ readonly key: string; readonly asker: Asker }>,
): JobControl {
  return {
    hold: async (nativeId, by) => about('hold', await refer(nativeId, by)),
    release: async (nativeId, by) => about('release', await refer(nativeId, by)),
    requeue: async (nativeId, by) => about('requeue', await refer(nativeId, by)),
    signal: async (nativeId, signal, by) => about('cancel', { ...(await refer(nativeId, by)), signal }),
    async update(nativeId, { notBefore, ...change }, by) {
      return about('update', { ...(await refer(nativeId, by)), ...change, ...known({ notBeforeMs: notBefore }) });
    },
  };
}

function factsOf(link: AgentLink): ClusterFacts {
  const soon = { timeoutMs: FACTS_MS };
  return {
    nodes: async () => (await link.ask('nodes', {}, soon).catch(rethrow)).nodes,
    partitions: async () => (await link.ask('partitions', {}, soon).catch(rethrow)).partitions,
    reservations: async () => (await link.ask('reservations', {}, soon).catch(rethrow)).reservations,
    diagnostics: () => link.ask('diagnostics', {}, soon).catch(rethrow),
    history({ project, ...page }) {
      return link.ask('history', { asker: ownAsker(project), ...page }, { timeoutMs: HISTORY_MS }).catch(rethrow);
    },
    foreign: async (project) => (await link.ask('foreign', { asker: ownAsker(project) }, soon).catch(rethrow)).jobs,
  };
}

/** By native id, or by key where the text is one. A number that Slurm gave to jobs of two projects names neither: nobody may reach another's job by it. */
async function find(cache: JobCache, id: string): Promise<JobRecord> {
  const look = (): readonly JobRecord[] => {
    const own = cache.byKey(id);
    return own === undefined ? cache.byNativeId(id) : [own];
  };
  if (look().length === 0) await cache.refresh().catch(rethrow);
  const found = look();
  const [first] = found;
  if (first === undefined) throw new SchedulerError('not-found', `the Slurm agent knows no job ${id}`);
  if (found.length === 1) return first;
  const open = found.filter((r) => !hasEnded(r.state));
  const [only] = open;
  if (only !== undefined && open.length === 1 && found.every((r) => r.project === only.project)) return only;
  throw new SchedulerError('not-found', `Slurm gave the number ${id} to ${found.length} jobs; ask by the job's key`);
}

function askerOf({ project, user }: Pick<JobRecord, 'project' | 'user'>, by?: Asking): Asker {
  return { project, person: by?.person ?? user, requestId: by?.requestId ?? newId('req') };
}

/** Of what Beamway itself wants to know, for a project. */
function ownAsker(project: string): Asker {
  return { project, person: 'beamway', requestId: newId('req') };
}

function submitOrder(spec: SchedulerJobSpec): ActQuestion<'submit'> {
  const { user, project, notBefore, requestId, claims, dependsOn, array, hold, exclusive, resubmitIfLost, ...rest } =
    spec;
  return {
    ...rest,
    arguments: [...spec.arguments],
    environment: { ...spec.environment },
    asker: { project, person: user, requestId: requestId ?? newId('req') },
    hold: hold ?? false,
    exclusive: exclusive ?? false,
    resubmitIfLost: resubmitIfLost ?? false,
    claims: claims.map((claim) => ({ ...claim })),
    dependsOn: (dependsOn ?? []).map((dependency) => ({ ...dependency })),
    ...known({ array, notBeforeMs: notBefore }),
  };
}

function rethrow(cause: unknown): never {
  throw asSchedulerError(cause);
}
