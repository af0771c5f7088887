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
    const release = { at: new Date(deps.clock.now()), reason: 'its lifetime is over' };
    if (!(await requestRelease(trx, stream.id, release))) return;
    await moveVersion(trx, stream.node);
    await recordEvent(deps, stream, {
      part: 'expire-streams',
      action: 'stream.expired',
      detail: { expiresAt: stream.expiresAt.toISOString() },
    });
  });
  deps.waiters.wake(stream.node);
}
