/**
 * A bearer was revoked: everything it obtained is void, and the nodes cut the connections. Driven by the outbox row that identity writes
 * in the transaction of the revocation, so it happens even if the replica that revoked died a moment later.
 */
import { transaction } from '../database/index.ts';
import type { StreamingDeps } from './deps.ts';
import { revokeIssuedTo } from './secret-store.ts';
import { moveVersion } from './store.ts';

export async function revokeIssued(deps: StreamingDeps, bearer: string): Promise<void> {
  const nodes = await transaction(deps.db, async (trx) => {
    const those = await revokeIssuedTo(trx, bearer, new Date(deps.clock.now()));
    for (const node of those) await moveVersion(trx, node);
    return those;
  });
  for (const node of nodes) deps.waiters.wake(node);
}
