/** Releases every stream whose life is over. Level-triggered: run at any time, as often as wanted; a timer only makes it prompt. */
import { transaction } from '../database/index.ts';
import type { StreamingDeps } from './deps.ts';
import { recordEvent } from './record-event.ts';
import { liveStreams, moveVersion, requestRelease } from './store.ts';
import type { Stream } from './stream.ts';

export async function expireStreams(deps: StreamingDeps): Promise<readonly string[]> {
  const now = deps.clock.now();
  const over = (await liveStreams(deps.db)).filter(
    (s) => s.releaseRequestedAt === null && s.expiresAt.getTime() <= now,
  );
  for (const stream of over) await expire(deps, stream);
  return over.map((s) => s.id);
}

/** Of replicas that look at once, one releases and records. */
async function expire(deps: StreamingDeps, stream: Stream): Promise<void> {
  await transaction(deps.db, async (trx) => {
    const left = stream.observed?.counters.buffered ?? 0;
    const reason =
      stream.lease.draining === true
        ? `drained for as long as was asked; ${left} messages were left`
        : 'its lifetime is over';
    const release = { at: new Date(deps.clock.now()), reason };
    if (!(await requestRelease(trx, stream.id, release))) return;
    await moveVersion(trx, stream.node);
    await recordEvent(deps, stream, {
      part: 'expire-streams',
      action: 'stream.expired',
      detail: { expiresAt: stream.expiresAt.toISOString(), reason },
    });
  });
  deps.waiters.wake(stream.node);
}
