/** Releases a stream: it is no longer wanted, so its node closes it on its next sync. A second release changes nothing. */
import { transaction } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';
import { moveVersion, requestRelease, streamById } from './store.ts';
import type { Stream } from './stream.ts';

export async function releaseStream(deps: StreamingDeps, id: string, reason: string): Promise<Stream> {
  const released = await transaction(deps.db, async (trx) => {
    const stream = await streamById(trx, id);
    if (stream === undefined) throw new Problem('not-found', `No stream ${id}.`);
    if (await requestRelease(trx, id, { at: new Date(deps.clock.now()), reason })) await moveVersion(trx, stream.node);
    return (await streamById(trx, id)) ?? stream;
  });
  deps.waiters.wake(released.node);
  return released;
}
