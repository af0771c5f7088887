/** Which data streaming nodes have not yet done what was last asked of all of them: not linked since then, or behind their version. */
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import { nodeRows } from './store.ts';
import { NODE_SILENT_MS } from './stream.ts';

export async function pendingNodes(
  deps: { readonly db: Queries; readonly clock: Clock },
  since: Date,
): Promise<readonly string[]> {
  const heardAfter = Math.max(since.getTime(), deps.clock.now() - NODE_SILENT_MS);
  return (await nodeRows(deps.db))
    .filter((n) => n.applied_version < n.version || (n.last_seen_at?.getTime() ?? 0) < heardAfter)
    .map((n) => n.name);
}
