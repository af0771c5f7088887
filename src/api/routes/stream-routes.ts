/** Streams, templates and data streaming nodes over HTTP. */
import { policyResource, resolveTarget, resourceOf, type Target } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import {
  certifyNode,
  createStream,
  drainStream,
  enginesOf,
  extendStream,
  issueCredential,
  liveStreams,
  NODE_SILENT_MS,
  nodeRows,
  pauseStream,
  releaseStream,
  type Stream,
  type StreamingDeps,
  setStream,
  streamById,
  streamState,
  streamsPage,
  syncNode,
} from '../../streaming/index.ts';
import type { Located } from '../exchange.ts';
import { listedEnvironments, listedProject } from '../listed-project.ts';
import type { Routes } from '../route.ts';

type StreamRoutes = Pick<
  Routes,
  | 'template.list'
  | 'stream.create'
  | 'stream.list'
  | 'stream.show'
  | 'stream.extend'
  | 'stream.set'
  | 'stream.pause'
  | 'stream.resume'
  | 'stream.drain'
  | 'stream.delete'
  | 'stream.credential'
  | 'node.sync'
  | 'node.certify'
  | 'node.list'
>;

const LOOK_MS = 250;

export function streamRoutes(deps: StreamingDeps): StreamRoutes {
  const byId = async (id: string): Promise<Stream> => {
    const stream = await streamById(deps.db, id);
    if (stream === undefined) throw new Problem('not-found', `No stream ${id}, or none that you may see.`);
    return stream;
  };
  const locate = async ({ params }: { readonly params: { readonly id: string } }): Promise<Located> => {
    const stream = await byId(params.id);
    return { resource: resourceOf(deps.facility, stream), label: `stream/${stream.id}`, row: stream };
  };
  const view = (stream: Stream) => streamView(stream, deps.clock.now());
  const settled = (stream: Stream): boolean =>
    !['pending', 'draining', 'releasing'].includes(streamState(stream, deps.clock.now()).state);

  return {
    'template.list': {
      handle: () => ({ templates: [...deps.templates.values()].map((t): Record<string, unknown> => ({ ...t })) }),
    },
    'stream.create': {
      locate({ caller, body }) {
        const target = resolveTarget(deps.facility, caller, body);
        const admission = deps.templates.get(body.template)?.admission;
        const resource = { ...policyResource(target), ...(admission === undefined ? {} : { admission }) };
        return { resource, label: '', row: target };
      },
      async handle({ caller, body, located, idempotencyKey, requestId }) {
        const { name, template, parameters } = body;
        return view(
          await createStream(deps, caller, {
            target: located.row as Target,
            name,
            template,
            parameters,
            key: idempotencyKey ?? null,
            requestId,
          }),
        );
      },
    },
    'stream.list': {
      locate: ({ caller, query }) => ({ resource: listedProject(caller, query.project), label: '' }),
      async handle({ caller, query, located }) {
        const { project } = located.resource;
        const environments = listedEnvironments(caller);
        const streams = await streamsPage(deps.db, {
          limit: query.limit,
          ...(environments === undefined ? {} : { environments }),
          released: query.released === 'true',
          ...(project === undefined ? {} : { project }),
          ...(query.before === undefined ? {} : { before: query.before }),
        });
        return {
          streams: streams.map(view),
          next: streams.length === query.limit ? (streams.at(-1)?.id ?? null) : null,
        };
      },
    },
    'stream.show': {
      locate,
      async handle({ located, query, signal }) {
        let stream = located.row as Stream;
        const until = deps.clock.monotonic() + query.waitSeconds * 1000;
        while (!settled(stream) && !signal.aborted) {
          const rest = until - deps.clock.monotonic();
          if (rest <= 0) break;
          await deps.waiters.wait(`stream:${stream.id}`, Math.min(rest, LOOK_MS), signal);
          stream = await byId(stream.id);
        }
        return view(stream);
      },
    },
    'stream.extend': {
      locate,
      handle: async ({ params, body }) => view(await extendStream(deps, params.id, body.lifetimeSeconds)),
    },
    'stream.set': {
      locate,
      handle: async ({ caller, params, body }) =>
        view(await setStream(deps, caller, { id: params.id, parameters: body.parameters })),
    },
    'stream.pause': { locate, handle: async ({ params }) => view(await pauseStream(deps, params.id, true)) },
    'stream.resume': { locate, handle: async ({ params }) => view(await pauseStream(deps, params.id, false)) },
    'stream.drain': {
      locate,
      handle: async ({ params, body }) => view(await drainStream(deps, params.id, body.withinSeconds)),
    },
    'stream.delete': {
      locate,
      handle: async ({ caller, params }) => view(await releaseStream(deps, params.id, `released by ${caller.id}`)),
    },
    'stream.credential': {
      locate,
      async handle({ caller, params, body, signal }) {
        const issued = await issueCredential(deps, caller, {
          stream: params.id,
          role: body.role,
          lifetimeSeconds: body.lifetimeSeconds,
          signal,
        });
        return {
          id: issued.credential.id,
          stream: issued.stream.id,
          role: issued.credential.role,
          endpoint: issued.endpoint,
          username: issued.credential.username,
          password: issued.password,
          authority: issued.stream.lease.tls === true ? deps.authority.certificatePem : null,
          delivery: issued.stream.lease.delivery,
          expiresAt: issued.credential.expiresAt.toISOString(),
          active: issued.active,
        };
      },
    },
    'node.sync': {
      handle({ caller, params, body, signal }) {
        return syncNode(deps, caller, { ...body, node: params.id }, signal);
      },
    },
    'node.certify': {
      async handle({ caller, params, body, requestId }) {
        const signed = await certifyNode(deps, caller, { node: params.id, request: body.request, requestId });
        const { certificatePem: certificate, expiresAtMs } = signed;
        return { certificate, authority: deps.authority.certificatePem, expiresAtMs };
      },
    },
    'node.list': {
      async handle() {
        const live = await liveStreams(deps.db);
        const now = deps.clock.now();
        return {
          nodes: (await nodeRows(deps.db)).map((row) => {
            const own = live.filter((s) => s.node === row.name);
            return {
              name: row.name,
              linked: row.last_seen_at !== null && now - row.last_seen_at.getTime() <= NODE_SILENT_MS,
              lastSeenAt: row.last_seen_at?.toISOString() ?? null,
              streams: own.length,
              engines: enginesOf(row)?.slice() ?? null,
              bufferBytes: own.reduce((sum, s) => sum + s.lease.bufferBytes, 0),
            };
          }),
        };
      },
    },
  };
}

function streamView(stream: Stream, nowMs: number) {
  const { state, reason } = streamState(stream, nowMs);
  const { lease, observed } = stream;
  return {
    id: stream.id,
    project: stream.project,
    environment: stream.environment,
    name: stream.name,
    template: stream.template,
    engine: lease.engine,
    delivery: lease.delivery,
    parameters: { ...stream.parameters },
    node: stream.node,
    state,
    reason,
    endpoints: { ...observed?.endpoints },
    createdBy: stream.createdBy,
    createdAt: stream.createdAt.toISOString(),
    expiresAt: stream.expiresAt.toISOString(),
    releasedAt: stream.releasedAt?.toISOString() ?? null,
    usage:
      observed?.usage === undefined
        ? null
        : { ...observed.usage, byteQuota: lease.byteQuota ?? 0, messageQuota: lease.messageQuota ?? 0 },
    counters: observed?.counters ?? null,
    connections:
      state === 'released'
        ? []
        : (observed?.connections ?? []).map(({ connectedAtMs, ...c }) => ({
            ...c,
            connectedAt: new Date(connectedAtMs).toISOString(),
          })),
  };
}
