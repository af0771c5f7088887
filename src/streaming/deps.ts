/** What every use case of the room `streaming` is given at the composition root. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../clock.ts';
import type { Queries, TransactionQueries } from '../database/index.ts';
import type { Facility } from '../facility/index.ts';
import type { Authority } from '../identity/index.ts';
import type { NodeWaiters } from './node-waiters.ts';
import type { Template } from './template.ts';

export interface StreamingDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: Facility;
  readonly templates: ReadonlyMap<string, Template>;
  readonly waiters: NodeWaiters;
  readonly audit: AuditLog;
  readonly authority: Authority;
  /** Sets the timer that releases a stream, in the transaction that gives it its life; a later one for the same stream replaces it. */
  readonly expireAt: (trx: TransactionQueries, stream: string, at: Date) => Promise<void>;
}
