/**
 * What a revocation cannot reach at once: streams whose node is not linked now and that let somebody in with what the revoked bearers obtained. Their node closes
 * them at the latest when the template's `offlineLifetimeSeconds` are over (architecture.md 3b). Owns nothing.
 */
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import { secretsIssuedTo } from './secret-store.ts';
import { liveStreams, nodeRows } from './store.ts';
import { NODE_SILENT_MS } from './stream.ts';

export interface PendingRevocation {
  readonly node: string;
  readonly stream: string;
  /** From here on nobody is connected any more, whether the node comes back or not. */
  readonly until: Date;
}

/** Empty where every node concerned is linked: those cut within a second. */
export async function pendingRevocations(
  deps: { readonly db: Queries; readonly clock: Clock },
  tokenIds: readonly string[],
): Promise<readonly PendingRevocation[]> {
  const now = deps.clock.now();
  const secrets = await secretsIssuedTo(deps.db, tokenIds);
  if (secrets.length === 0) return [];
  const lastSeen = new Map((await nodeRows(deps.db)).map((n) => [n.name, n.last_seen_at?.getTime() ?? 0]));
  return (await liveStreams(deps.db)).flatMap((stream) => {
    const seenMs = lastSeen.get(stream.node) ?? 0;
    if (now - seenMs <= NODE_SILENT_MS) return [];
    // What was revoked while the node was still linked is cut already.
    const stillOpen = secrets.some(
      (s) => s.stream === stream.id && (s.revokedAt === null || s.revokedAt.getTime() > seenMs - NODE_SILENT_MS),
    );
    // Its agent counts from the end of its last turn, which may be a silence later than the beginning that we saw.
    const offlineMs = NODE_SILENT_MS + stream.lease.offlineLifetimeSeconds * 1000;
    const untilMs = Math.min(seenMs + offlineMs, stream.expiresAt.getTime());
    return stillOpen && untilMs > now ? [{ node: stream.node, stream: stream.id, until: new Date(untilMs) }] : [];
  });
}
