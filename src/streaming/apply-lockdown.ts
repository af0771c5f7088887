/**
 * The facility was locked down, or is open again: every node gets its leases anew, which say whether paths from outside are shut. Driven by the outbox
 * row that identity writes with the lockdown itself.
 */
import { transaction } from '../database/index.ts';
import type { StreamingDeps } from './deps.ts';
import { moveVersion, nodeRows } from './store.ts';

/** Resolves to the nodes that were told; those that are not linked learn it when they are, and end by themselves after their offline lifetime. */
export async function applyLockdown(deps: StreamingDeps): Promise<readonly string[]> {
  const nodes = await transaction(deps.db, async (trx) => {
    const names = (await nodeRows(trx)).map((n) => n.name);
    for (const name of names) await moveVersion(trx, name);
    return names;
  });
  for (const node of nodes) deps.waiters.wake(node);
  return nodes;
}
