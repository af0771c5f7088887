/**
 * Releases a stream once consumers have everything: producers are cut and refused from now on, and its life ends when its node says that nothing is left in it, or after
 * `withinSeconds`. The end of life is what bounds it, so the node keeps to it without us. Cannot be undone; a second time may only shorten it.
 */
import { transaction } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';
import { knownNotice } from './expiring.ts';
import { lockNodes, lockStream, moveVersion, noteNotice, saveTerms } from './store.ts';
import type { Stream } from './stream.ts';

/** Throws `not-found`, `conflict` (released). */
export async function drainStream(deps: StreamingDeps, id: string, withinSeconds: number): Promise<Stream> {
  const drained = await transaction(deps.db, async (trx) => {
    // In the order of a node's report: it first, then its streams.
    await lockNodes(trx);
    const stream = await lockStream(trx, id);
    if (stream === undefined) throw new Problem('not-found', `No stream ${id}.`);
    if (stream.releaseRequestedAt !== null)
      throw new Problem('conflict', `Stream ${id} is released: ${stream.releaseReason}.`);
    const until = Math.min(stream.expiresAt.getTime(), deps.clock.now() + withinSeconds * 1000);
    const lease = { ...stream.lease, draining: true, paused: false };
    const next = { ...stream, lease, expiresAt: new Date(until) };
    await saveTerms(trx, next);
    await noteNotice(trx, next, knownNotice(next.expiresAt, new Date(deps.clock.now())));
    await deps.expireAt(trx, id, next.expiresAt);
    await moveVersion(trx, stream.node);
    return next;
  });
  deps.waiters.wake(drained.node);
  return drained;
}
