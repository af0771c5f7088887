/** Clusters over HTTP: what there is now, and the ticket with which a cluster's Slurm agent opens its link. */
import type { Clock } from '../../clock.ts';
import { type AgentLinks, type Scheduler, SchedulerError } from '../../compute/index.ts';
import type { Queries } from '../../database/index.ts';
import type { Facility } from '../../facility/index.ts';
import { type Caller, callerOf, tokenById, tokenState } from '../../identity/index.ts';
import type { Circumstances, Policy } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import { LONGEST_FRAME_BYTES } from '../../slurm/contract/index.ts';
import { listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';
import { agentPeer } from '../sockets/agent-peer.ts';
import type { SocketGrant, Tickets } from '../sockets/tickets.ts';

export interface ClusterRoutesDeps {
  readonly facility: Pick<Facility, 'clusters'>;
  readonly schedulers: ReadonlyMap<string, Scheduler>;
  readonly links: AgentLinks;
  readonly tickets: Tickets;
  readonly db: Queries;
  readonly policy: Pick<Policy, 'authorize'>;
  readonly circumstances: (caller: Caller, action: 'cluster:link') => Circumstances;
  readonly clock: Clock;
}

export function clusterRoutes(deps: ClusterRoutesDeps): Pick<Routes, 'cluster.list' | 'cluster.link'> {
  return {
    'cluster.list': {
      locate: ({ caller }) => ({ resource: listedProject(caller, undefined), label: '' }),
      handle: async () => ({ clusters: await Promise.all(deps.facility.clusters.map((c) => clusterNow(deps, c))) }),
    },
    'cluster.link': {
      locate: ({ params }) => ({ resource: { cluster: params.id }, label: `cluster/${params.id}` }),
      handle({ params, caller }) {
        const cluster = deps.facility.clusters.find((c) => c.name === params.id);
        if (cluster?.scheduler !== 'slurm') throw new Problem('not-found', `No Slurm cluster ${params.id}.`);
        const grant = linkGrant(deps, { cluster: cluster.name, tokenId: caller.id });
        const { text, expiresAtMs } = deps.tickets.issue(grant);
        return { url: grant.path, ticket: text, expiresAt: new Date(expiresAtMs).toISOString() };
      },
    },
  };
}

/** An agent that is away takes nothing from the other clusters' answer. */
async function clusterNow(deps: ClusterRoutesDeps, { name, scheduler }: Facility['clusters'][number]) {
  const linked = scheduler === 'local' || deps.links.link(name).connected;
  try {
    const nodes = (await deps.schedulers.get(name)?.nodes()) ?? [];
    const shown = nodes.map((n) => ({ name: n.name, slots: n.slots, free: n.free, state: n.state }));
    return { name, scheduler, linked, reason: '', nodes: shown };
  } catch (cause) {
    if (!(cause instanceof SchedulerError)) throw cause;
    return { name, scheduler, linked, reason: cause.message, nodes: [] };
  }
}

/** The link lives as long as its bearer would be let in again. Looked up by id each time: the bearer itself is not kept. */
function linkGrant(
  deps: ClusterRoutesDeps,
  { cluster, tokenId }: { readonly cluster: string; readonly tokenId: string },
): SocketGrant {
  return {
    purpose: 'agent-link',
    holder: `cluster/${cluster}`,
    path: `/beamway/v1/clusters/${cluster}/link`,
    allowsOrigin: (origin) => origin === undefined,
    maxFrameBytes: LONGEST_FRAME_BYTES,
    async check() {
      const token = await tokenById(deps.db, tokenId);
      if (token === undefined || tokenState(token, deps.clock.now()) !== 'active')
        throw new Problem('token-revoked', `Token ${tokenId} is not valid any more.`);
      const caller = callerOf(token);
      const circumstances = deps.circumstances(caller, 'cluster:link');
      deps.policy.authorize({ caller, action: 'cluster:link', resource: { cluster }, circumstances });
    },
    open: (socket) => deps.links.attach(cluster, agentPeer(socket, deps.clock)),
  };
}
