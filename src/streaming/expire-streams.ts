/** Releases every stream whose life is over. Level-triggered: run at any time, as often as wanted; a timer only makes it prompt. */
import type { StreamingDeps } from './deps.ts';
import { releaseStream } from './release-stream.ts';
import { liveStreams } from './store.ts';

export async function expireStreams(deps: StreamingDeps): Promise<readonly string[]> {
  const now = deps.clock.now();
  const over = (await liveStreams(deps.db)).filter(
    (s) => s.releaseRequestedAt === null && s.expiresAt.getTime() <= now,
  );
  for (const stream of over) await releaseStream(deps, stream.id, 'its lifetime is over');
  return over.map((s) => s.id);
}
