/** SQL of the trace: records by request, caller or thing. All bounded, all within one project where one is given. */
import type { Queries } from '../database/index.ts';
import type { AuditRecord } from './record.ts';
import { recordFrom } from './store.ts';
import { tables } from './tables-store.ts';

export interface TraceKeys {
  readonly requests?: readonly string[];
  readonly callers?: readonly string[];
  /** As they stand in records: `job_…` in the outcome that made it, `job/job_…` later. */
  readonly resources?: readonly string[];
}

/** Oldest first. */
export async function recordsOf(
  db: Queries,
  keys: TraceKeys,
  bounds: { readonly project: string | undefined; readonly limit: number },
): Promise<readonly AuditRecord[]> {
  const { requests = [], callers = [], resources = [] } = keys;
  if (requests.length + callers.length + resources.length === 0) return [];
  let query = tables(db)
    .selectFrom('audit_record')
    .selectAll()
    .where((e) =>
      e.or([
        ...(requests.length > 0 ? [e('request_id', 'in', requests)] : []),
        ...(callers.length > 0 ? [e('caller_id', 'in', callers)] : []),
        // The index holds only records about something.
        ...(resources.length > 0 ? [e.and([e('resource', 'in', resources), e('resource', '<>', '')])] : []),
      ]),
    );
  if (bounds.project !== undefined) query = query.where('project', '=', bounds.project);
  return (await query.orderBy('sequence').limit(bounds.limit).execute()).map(recordFrom);
}
