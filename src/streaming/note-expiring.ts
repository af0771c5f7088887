/** Records `stream.expiring` of every stream with 24 h and with 1 h left. Level-triggered: run at any time, as often as wanted; of replicas that look at once, one records. */
import { transaction } from '../database/index.ts';
import type { StreamingDeps } from './deps.ts';
import { dueNotice } from './expiring.ts';
import { recordEvent } from './record-event.ts';
import { liveStreams, noteNotice } from './store.ts';

export async function noteExpiring(deps: StreamingDeps): Promise<void> {
  const now = new Date(deps.clock.now());
  for (const stream of await liveStreams(deps.db)) {
    const due = dueNotice(stream.expiresAt, now);
    if (due === undefined || stream.releaseRequestedAt !== null || due.key === stream.notice) continue;
    await transaction(deps.db, async (trx) => {
      if (!(await noteNotice(trx, stream, due.key))) return;
      const secondsLeft = Math.max(0, Math.round((stream.expiresAt.getTime() - now.getTime()) / 1000));
      const detail = { hours: due.hours, secondsLeft, expiresAt: stream.expiresAt.toISOString() };
      await recordEvent(deps, stream, { part: 'note-expiring', action: 'stream.expiring', detail });
    });
  }
}
