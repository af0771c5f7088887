/** The audit event of a policy set that is about to be in force: a set nobody recorded never decides. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../clock.ts';
import { newId } from '../id.ts';
import type { PolicySet } from './policy-set.ts';

/** Rejects where it cannot be written; the set must not be put in force then. */
export function recordPolicyLoad(audit: Pick<AuditLog, 'append'>, clock: Clock, set: PolicySet): Promise<void> {
  const { digest, base, overlays } = set;
  return audit.append({
    at: new Date(clock.now()),
    requestId: newId('req'),
    phase: 'event',
    callerKind: 'system',
    callerId: 'policy',
    subject: 'policy',
    project: null,
    action: 'policy.loaded',
    resource: `policy/${digest}`,
    status: null,
    detail: {
      base: base.map((p) => p.id),
      overlays: Object.fromEntries([...overlays].map(([name, list]) => [name, list.map((p) => p.id)])),
    },
  });
}
