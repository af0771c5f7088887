/** What every use case of the room `streaming` is given at the composition root. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import type { Facility } from '../facility/index.ts';
import type { NodeWaiters } from './node-waiters.ts';
import type { Template } from './template.ts';

export interface StreamingDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: Facility;
  readonly templates: ReadonlyMap<string, Template>;
  readonly waiters: NodeWaiters;
  readonly audit: AuditLog;
}
