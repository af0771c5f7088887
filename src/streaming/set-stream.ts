/**
 * Changes parameters of a stream while it lives, within its template's bounds as at its making. Where the buffer grows, its node must have the room: judged under the lock that
 * placement takes. What was before and is now is recorded.
 */
import { type TransactionQueries, transaction } from '../database/index.ts';
import type { Caller } from '../identity/index.ts';
import { type FieldError, Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';
import { recordEvent } from './record-event.ts';
import { liveStreams, lockNodes, lockStream, moveVersion, saveTerms } from './store.ts';
import type { Stream } from './stream.ts';
import { checkParameters, type Parameters } from './template.ts';

type Changeable = Pick<
  Parameters,
  'bufferBytes' | 'bytesPerSecond' | 'messagesPerSecond' | 'byteQuota' | 'messageQuota' | 'externalAddresses'
>;

const CHANGEABLE: readonly (keyof Changeable)[] = [
  'bufferBytes',
  'bytesPerSecond',
  'messagesPerSecond',
  'byteQuota',
  'messageQuota',
  'externalAddresses',
];

export interface SetStreamInput {
  readonly id: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Throws `not-found`, `conflict` (released, draining, its template gone), `parameter-out-of-bounds`, `no-capacity`. */
export async function setStream(deps: StreamingDeps, caller: Caller, input: SetStreamInput): Promise<Stream> {
  const changed = await transaction(deps.db, async (trx) => {
    // In the order of a node's report: it first, then its streams.
    await lockNodes(trx);
    const stream = await lockStream(trx, input.id);
    if (stream === undefined) throw new Problem('not-found', `No stream ${input.id}.`);
    if (stream.releaseRequestedAt !== null || stream.lease.draining === true)
      throw new Problem('conflict', `Stream ${input.id} is ending: ${stream.releaseReason || 'it is draining'}.`);
    const before = pick(stream.lease, input.parameters);
    const given = pick(checked(deps, stream, input.parameters), input.parameters);
    if (JSON.stringify(before) === JSON.stringify(given)) return stream;
    await checkBuffer(deps, trx, { stream, bufferBytes: given.bufferBytes ?? stream.lease.bufferBytes });
    const next = {
      ...stream,
      lease: { ...stream.lease, ...given },
      parameters: { ...stream.parameters, ...given },
    };
    await saveTerms(trx, next);
    await moveVersion(trx, stream.node);
    const detail = { by: caller.id, before, after: given };
    await recordEvent(deps, stream, { part: 'set-stream', action: 'stream.changed', detail });
    return next;
  });
  deps.waiters.wake(changed.node);
  return changed;
}

/** Of those that can be changed, the ones that are named. */
function pick(from: Partial<Changeable>, named: Readonly<Record<string, unknown>>): Partial<Changeable> {
  return Object.fromEntries(CHANGEABLE.filter((name) => Object.hasOwn(named, name)).map((name) => [name, from[name]]));
}

function checked(deps: StreamingDeps, stream: Stream, given: Readonly<Record<string, unknown>>): Parameters {
  const template = deps.templates.get(stream.template);
  if (template === undefined)
    throw new Problem('conflict', `The template ${stream.template} is gone: stream ${stream.id} stays as it is.`);
  const errors: FieldError[] = [];
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(template.parameters, name) || CHANGEABLE.some((c) => c === name)) continue;
    const instead = name === 'lifetimeSeconds' ? 'extend the stream: beamway stream extend' : 'make another stream';
    errors.push({ pointer: `#/parameters/${name}`, detail: `cannot be changed while the stream lives; ${instead}` });
  }
  const found = checkParameters(template, { ...stream.parameters, ...given });
  const { bufferBytes, overflow } = stream.lease;
  if ('parameters' in found && overflow === 'drop-oldest' && found.parameters.bufferBytes < bufferBytes)
    errors.push({
      pointer: '#/parameters/bufferBytes',
      detail: `at least ${bufferBytes}: a smaller buffer would drop what is in it (overflow: drop-oldest)`,
    });
  if ('errors' in found || errors.length > 0)
    throw new Problem('parameter-out-of-bounds', `Stream ${stream.id} cannot have these parameters.`, {
      errors: [...errors, ...('errors' in found ? found.errors : [])],
    });
  return found.parameters;
}

/** Nodes are locked: no stream is placed meanwhile. */
async function checkBuffer(
  deps: StreamingDeps,
  trx: TransactionQueries,
  { stream, bufferBytes }: { readonly stream: Stream; readonly bufferBytes: number },
): Promise<void> {
  if (bufferBytes <= stream.lease.bufferBytes) return;
  const node = deps.facility.streamingNodes.find((n) => n.name === stream.node);
  const others = (await liveStreams(trx, stream.node)).filter((s) => s.id !== stream.id);
  const left = (node?.capacity.bufferBytes ?? 0) - others.reduce((sum, s) => sum + s.lease.bufferBytes, 0);
  if (left < bufferBytes)
    throw new Problem('no-capacity', `${stream.node} has ${left} buffer bytes for it; ${bufferBytes} were asked for.`, {
      retryAfterSeconds: 2,
    });
}
