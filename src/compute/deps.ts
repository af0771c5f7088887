/** What every use case of the room `compute` is given at the composition root. */
import type { Clock } from '../clock.ts';
import type { Queries } from '../database/index.ts';
import type { Facility } from '../facility/index.ts';
import type { Job } from './job.ts';
import type { Scheduler, StreamClaim } from './scheduler.ts';

export interface ComputeDeps {
  readonly db: Queries;
  readonly clock: Clock;
  readonly facility: Facility;
  readonly schedulers: ReadonlyMap<string, Scheduler>;
  /** Facts of a higher room, handed in: streams that a job names must exist and be its project's. Throws a Problem. */
  readonly checkStreams: (job: {
    readonly project: string;
    readonly environment: string;
    readonly streams: Job['spec']['streams'];
  }) => Promise<void>;
  /** Makes the job's claims on its streams; the earlier ones are void. */
  readonly claimStreams: (job: Job) => Promise<readonly StreamClaim[]>;
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}
