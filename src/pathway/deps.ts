/** What every use case of the room `pathway` is given at the composition root. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../clock.ts';
import type { ComputeDeps } from '../compute/index.ts';
import type { Queries } from '../database/index.ts';
import type { Facility } from '../facility/index.ts';
import type { Caller } from '../identity/index.ts';
import type { Action, Circumstances, Policy } from '../policy/index.ts';
import type { StreamingDeps } from '../streaming/index.ts';

export interface PathwayDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: Facility;
  readonly audit: AuditLog;
  readonly policy: Policy;
  /** Of a question that is asked now. */
  readonly circumstances: (caller: Caller, action: Action) => Circumstances;
  readonly compute: ComputeDeps;
  readonly streaming: StreamingDeps;
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}
