/**
 * A bearer was revoked: everything it obtained is void, and the nodes cut the connections. Driven by the outbox row that identity writes
 * in the transaction of the revocation, so it happens even if the replica that revoked died a moment later.
 */
import { transaction } from '../database/index.ts';
import type { StreamingDeps } from './deps.ts';
import { recordEvent } from './record-event.ts';
import { revokeIssuedTo, secretsIssuedTo } from './secret-store.ts';
import { moveVersion, streamsById } from './store.ts';

export async function revokeIssued(deps: StreamingDeps, bearer: string): Promise<void> {
  const nodes = await transaction(deps.db, async (trx) => {
    const those = await revokeIssuedTo(trx, bearer, new Date(deps.clock.now()));
    for (const node of those) await moveVersion(trx, node);
    return those;
  });
  for (const node of nodes) deps.waiters.wake(node);
  // After the cut, which must not wait for the log; the event comes again where we die before.
  const issued = await secretsIssuedTo(deps.db, [bearer]);
  const streams = await streamsById(deps.db, [...new Set(issued.map((s) => s.stream))]);
  for (const stream of streams.values()) {
    if (stream.releasedAt !== null) continue;
    await recordEvent(deps, stream, {
      part: 'revoke-issued',
      action: 'stream.credentials-revoked',
      detail: { token: bearer, node: stream.node },
    });
  }
}
