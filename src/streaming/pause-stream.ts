/** Pauses a stream or lets it go on: its producers are not read meanwhile, and wait; consumers go on. Part of the lease, so it outlives whatever restarts. A second time changes nothing. */
import { transaction } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';
import { lockNodes, lockStream, moveVersion, saveTerms } from './store.ts';
import type { Stream } from './stream.ts';

/** Throws `not-found`, `conflict` (released, draining, or nobody of ours is between). */
export async function pauseStream(deps: StreamingDeps, id: string, paused: boolean): Promise<Stream> {
  const changed = await transaction(deps.db, async (trx) => {
    // In the order of a node's report: it first, then its streams.
    await lockNodes(trx);
    const stream = await lockStream(trx, id);
    if (stream === undefined) throw new Problem('not-found', `No stream ${id}.`);
    if (stream.releaseRequestedAt !== null)
      throw new Problem('conflict', `Stream ${id} is released: ${stream.releaseReason}.`);
    const { engine, mode = 'l7', draining } = stream.lease;
    if (engine !== 'relay' && mode !== 'l7')
      throw new Problem(
        'conflict',
        `Stream ${id} cannot be paused: in mode ${mode} its clients speak to ${engine} with nobody of ours between. Stop the producers, or end them for good: beamway stream release ${id} --drain.`,
      );
    if (draining === true) throw new Problem('conflict', `Stream ${id} is draining: it has no producers any more.`);
    if ((stream.lease.paused ?? false) === paused) return stream;
    const next = { ...stream, lease: { ...stream.lease, paused } };
    await saveTerms(trx, next);
    await moveVersion(trx, stream.node);
    return next;
  });
  deps.waiters.wake(changed.node);
  return changed;
}
