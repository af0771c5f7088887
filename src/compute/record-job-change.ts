/** Records what Beamway did or saw of a job by itself: who submitted it learns nothing from an API operation then. At least once; `event` tells repetitions. */
import type { AuditLog } from '../audit/index.ts';
import type { OutboxEvent } from '../database/index.ts';
import { newId } from '../id.ts';
import { jobEnded } from './job.ts';
import type { JobAct } from './save-job.ts';

/** The payload of JOB_CHANGED. Events of before an upgrade lack what is optional. */
export interface JobChange {
  readonly job: string;
  readonly ended: boolean;
  readonly streams: readonly string[];
  readonly act?: JobAct;
  readonly reason?: string;
  readonly project?: string;
  readonly subject?: string;
  readonly requestId?: string;
}

export async function recordJobChange(audit: AuditLog, event: OutboxEvent): Promise<void> {
  const { job, act, reason = '', project = null, subject = 'follow-jobs', requestId } = event.payload as JobChange;
  if (act === undefined || !isRecorded(act)) return;
  await audit.append({
    at: event.emittedAt,
    requestId: requestId === undefined || requestId === '' ? newId('req') : requestId,
    phase: 'event',
    callerKind: 'system',
    callerId: 'follow-jobs',
    subject,
    project,
    action: `job.${act}`,
    resource: `job/${job}`,
    status: null,
    detail: { reason, event: event.position },
  });
}

/** Where a job begins, is pushed aside and ends; what lies between is the scheduler's own business. */
function isRecorded(act: JobAct): boolean {
  if (act === 'updated') return false;
  return act === 'handed-over' || act === 'running' || act === 'preempting' || act === 'suspended' || jobEnded(act);
}
