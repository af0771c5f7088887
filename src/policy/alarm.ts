/**
 * The alarm of a policy that cannot be evaluated: an audit event `policy.alarm`, at most once a minute for each rule, with how often it happened since
 * the one before. A client that can make a rule fail must not be able to fill the audit log. Owns the counts of this replica.
 */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../clock.ts';
import { newId } from '../id.ts';
import type { PolicyAlarm, PolicyFault } from './policy.ts';

const EVERY_MS = 60_000;

export interface AlarmDeps {
  readonly audit: Pick<AuditLog, 'append'>;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly log: PolicyAlarm;
}

interface Raised {
  readonly atMs: number;
  since: number;
}

/** What `openPolicy` takes. Never throws: the denial stands whether or not the alarm could be written. */
export function policyAlarms({ audit, clock, log }: AlarmDeps): (fault: PolicyFault) => void {
  // Keys are ids of rules, of which a set has few.
  const raised = new Map<string, Raised>();
  return ({ digest, rule, detail, question }) => {
    const now = clock.monotonic();
    const last = raised.get(rule);
    if (last !== undefined && now - last.atMs < EVERY_MS) {
      last.since += 1;
      return;
    }
    raised.set(rule, { atMs: now, since: 0 });
    audit
      .append({
        at: new Date(clock.now()),
        requestId: newId('req'),
        phase: 'event',
        callerKind: 'system',
        callerId: 'policy',
        subject: 'policy',
        project: null,
        action: 'policy.alarm',
        resource: `policy/${digest}`,
        status: null,
        detail: {
          rule,
          fault: detail.slice(0, 500),
          asked: question.action,
          caller: question.caller.id,
          notToldSinceLast: last?.since ?? 0,
        },
      })
      .catch((cause: unknown) => log.error({ err: cause, rule }, 'the alarm of a policy could not be recorded'));
  };
}
