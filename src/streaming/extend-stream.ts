/** Lets a stream live `lifetimeSeconds` from now, within its template's bound. Never shortens a life. */
import { transaction } from '../database/index.ts';
import { Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';
import { knownNotice } from './expiring.ts';
import { extendLife, lockStream, moveVersion, noteNotice } from './store.ts';
import type { Stream } from './stream.ts';

/** Throws `not-found`, `conflict` (released), `parameter-out-of-bounds`. */
export async function extendStream(deps: StreamingDeps, id: string, lifetimeSeconds: number): Promise<Stream> {
  const extended = await transaction(deps.db, async (trx) => {
    const stream = await lockStream(trx, id);
    if (stream === undefined) throw new Problem('not-found', `No stream ${id}.`);
    if (stream.releaseRequestedAt !== null)
      throw new Problem('conflict', `Stream ${id} is released: ${stream.releaseReason}.`);
    if (stream.lease.draining === true)
      throw new Problem('conflict', `Stream ${id} is draining: make a new one to go on.`);
    const max = deps.templates.get(stream.template)?.parameters.lifetimeSeconds.max ?? 0;
    if (lifetimeSeconds > max) {
      throw new Problem('parameter-out-of-bounds', `Template ${stream.template} allows at most ${max} s.`, {
        errors: [{ pointer: '#/lifetimeSeconds', detail: `at most ${max}` }],
      });
    }
    const expiresAt = await extendLife(trx, id, new Date(deps.clock.now() + lifetimeSeconds * 1000));
    if (expiresAt === undefined) throw new Problem('conflict', `Stream ${id} is being released.`);
    if (expiresAt.getTime() !== stream.expiresAt.getTime())
      await noteNotice(trx, { ...stream, expiresAt }, knownNotice(expiresAt, new Date(deps.clock.now())));
    await deps.expireAt(trx, id, expiresAt);
    await moveVersion(trx, stream.node);
    return { ...stream, expiresAt };
  });
  deps.waiters.wake(extended.node);
  return extended;
}
