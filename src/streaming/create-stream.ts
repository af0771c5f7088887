/**
 * Provisions a stream: template and bounds checked, a node chosen, the row and the node's version in one transaction. The node opens
 * it on its next sync; until then the stream is pending. Safe to repeat with the same key.
 */
import { transaction } from '../database/index.ts';
import { newId } from '../id.ts';
import type { Caller } from '../identity/index.ts';
import type { Target } from '../policy/index.ts';
import { Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';
import { knownNotice } from './expiring.ts';
import { type NodeLoad, placeStream } from './place-stream.ts';
import { enginesOf, insertStream, liveStreams, lockNodes, moveVersion, nodeRows, streamByKey } from './store.ts';
import { NODE_SILENT_MS, type Stream } from './stream.ts';
import { checkParameters, type Parameters, type Template } from './template.ts';

export interface CreateStreamInput {
  readonly target: Target;
  readonly name: string;
  readonly template: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** A second stream with the same key in the project is the first one. */
  readonly key: string | null;
  /** Of the request that makes it. */
  readonly requestId: string;
}

/** Throws `invalid-request`, `parameter-out-of-bounds`, `limit-reached`, `no-capacity`. */
export async function createStream(deps: StreamingDeps, caller: Caller, input: CreateStreamInput): Promise<Stream> {
  const { project, environment } = input.target;
  const template = templateFor(deps, input);
  const checked = checkParameters(template, input.parameters);
  if ('errors' in checked)
    throw new Problem('parameter-out-of-bounds', `Template ${template.name} does not allow these parameters.`, {
      errors: checked.errors,
    });
  const made = await transaction(deps.db, async (trx) => {
    // Under the lock, so that of two requests with one key the later sees the earlier's stream.
    await lockNodes(trx);
    if (input.key !== null) {
      const earlier = await streamByKey(trx, project.name, input.key);
      if (earlier !== undefined && earlier.environment !== environment.name)
        throw new Problem(
          'idempotency-key-reused',
          'This Idempotency-Key was used in another environment of the project.',
        );
      if (earlier !== undefined) return earlier;
    }
    const live = await liveStreams(trx);
    const own = live.filter((s) => s.project === project.name).length;
    if (own >= project.limits.streams)
      throw new Problem(
        'limit-reached',
        `Project ${project.name} has ${own} streams, its limit is ${project.limits.streams}.`,
      );
    const rows = new Map((await nodeRows(trx)).map((r) => [r.name, r]));
    const now = deps.clock.now();
    const loads = deps.facility.streamingNodes.map((node): NodeLoad => {
      const those = live.filter((s) => s.node === node.name);
      const row = rows.get(node.name);
      const last = row?.last_seen_at;
      return {
        node,
        linked: last !== null && last !== undefined && now - last.getTime() <= NODE_SILENT_MS,
        engines: row === undefined ? undefined : enginesOf(row),
        streams: those.length,
        bufferBytes: those.reduce((sum, s) => sum + s.lease.bufferBytes, 0),
      };
    });
    const placement = placeStream(loads, { engine: template.engine, bufferBytes: checked.parameters.bufferBytes });
    if ('why' in placement)
      throw new Problem('no-capacity', `No data streaming node can take it: ${placement.why}.`, {
        retryAfterSeconds: 2,
      });
    const stream = newStream(input, {
      template,
      parameters: checked.parameters,
      node: placement.node,
      by: caller.id,
      environment: environment.name,
      enclave: environment.enclave,
      nowMs: now,
    });
    if (!(await insertStream(trx, stream, input.key)))
      throw new Problem('idempotency-in-progress', 'This stream is being made.', { retryAfterSeconds: 1 });
    await moveVersion(trx, stream.node);
    await deps.expireAt(trx, stream.id, stream.expiresAt);
    return stream;
  });
  deps.waiters.wake(made.node);
  return made;
}

function templateFor(deps: StreamingDeps, input: CreateStreamInput): Template {
  const { environment } = input.target;
  const template = deps.templates.get(input.template);
  if (template !== undefined && environment.streamTemplates.includes(template.name)) return template;
  const detail = `${environment.name} allows the templates ${environment.streamTemplates.join(', ')}`;
  throw new Problem('invalid-request', `No template ${input.template} in ${environment.name}.`, {
    errors: [{ pointer: '#/template', detail }],
  });
}

interface StreamFacts {
  readonly template: Template;
  readonly parameters: Parameters;
  readonly node: string;
  readonly by: string;
  readonly environment: string;
  readonly enclave: string;
  readonly nowMs: number;
}

function newStream(input: CreateStreamInput, facts: StreamFacts): Stream {
  const { template, parameters } = facts;
  const { lifetimeSeconds, bufferBytes, externalAddresses, consumerListens, queues } = parameters;
  const { bytesPerSecond, messagesPerSecond, byteQuota, messageQuota } = parameters;
  return {
    id: newId('str'),
    project: input.target.project.name,
    environment: facts.environment,
    name: input.name,
    template: template.name,
    parameters: {
      lifetimeSeconds,
      bufferBytes,
      externalAddresses,
      ...(consumerListens.length > 0 ? { consumerListens } : {}),
      ...(template.parameters.queues === undefined ? {} : { queues }),
      ...(template.parameters.bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      ...(template.parameters.messagesPerSecond === undefined ? {} : { messagesPerSecond }),
      ...(template.parameters.byteQuota === undefined ? {} : { byteQuota }),
      ...(template.parameters.messageQuota === undefined ? {} : { messageQuota }),
    },
    lease: {
      engine: template.engine,
      mode: template.mode,
      kind: template.kind,
      enclave: facts.enclave,
      queues,
      queueType: template.queueType,
      tls: template.tls === 'required',
      bytesPerSecond,
      messagesPerSecond,
      byteQuota,
      messageQuota,
      admission: template.admission,
      delivery: template.delivery,
      overflow: template.overflow,
      consumer: template.consumer,
      bufferBytes,
      maxMessageBytes: template.maxMessageBytes,
      maxConnections: template.maxConnections,
      externalAddresses,
      consumerListens,
      offlineLifetimeSeconds: template.offlineLifetimeSeconds,
      credentialLifetimeSeconds: template.credentialLifetimeSeconds,
    },
    node: facts.node,
    createdBy: facts.by,
    requestId: input.requestId,
    createdAt: new Date(facts.nowMs),
    expiresAt: new Date(facts.nowMs + lifetimeSeconds * 1000),
    releaseRequestedAt: null,
    releaseReason: '',
    releasedAt: null,
    observed: null,
    observedAt: null,
    notice: knownNotice(new Date(facts.nowMs + lifetimeSeconds * 1000), new Date(facts.nowMs)),
  };
}
