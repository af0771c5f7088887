/** A record as the API answers it, an export holds it a line and an archive keeps it: one shape everywhere, from which its digest can be computed again. */
import type { AuditPhase, AuditRecord } from './record.ts';

export interface RecordJson {
  readonly sequence: number;
  readonly at: string;
  readonly requestId: string;
  readonly phase: AuditPhase;
  readonly callerKind: string;
  readonly callerId: string;
  readonly subject: string;
  readonly project: string | null;
  readonly action: string;
  readonly resource: string;
  readonly status: number | null;
  readonly detail: Record<string, unknown>;
  readonly digest: string;
}

export function recordJson(record: AuditRecord): RecordJson {
  return {
    sequence: record.sequence,
    at: record.at.toISOString(),
    requestId: record.requestId,
    phase: record.phase,
    callerKind: record.callerKind,
    callerId: record.callerId,
    subject: record.subject,
    project: record.project,
    action: record.action,
    resource: record.resource,
    status: record.status,
    detail: { ...record.detail },
    digest: record.digest.toString('hex'),
  };
}
