/** Why an act was not done. `kind` decides what the control plane makes of it; `limit` names the limit of Slurm that was met, such as QOSGrpNodeLimit. */
import { z } from 'zod';

export const FAILURE_KINDS = [
  'unavailable',
  'invalid',
  'unknown-tier',
  'too-large',
  'limit',
  'not-found',
  'refused',
] as const;
export type FailureKind = (typeof FAILURE_KINDS)[number];

export const failureSchema = z.strictObject({
  kind: z.enum(FAILURE_KINDS),
  message: z.string(),
  limit: z.string().optional(),
  /** Slurm's own number, where it gave one. */
  slurmCode: z.int().optional(),
});
export type Failure = z.output<typeof failureSchema>;

export class SlurmFailure extends Error {
  override readonly name = 'SlurmFailure';
  readonly kind: FailureKind;
  readonly limit: string | undefined;
  readonly slurmCode: number | undefined;

  constructor(failure: Failure, options?: ErrorOptions) {
    super(failure.message, options);
    this.kind = failure.kind;
    this.limit = failure.limit;
    this.slurmCode = failure.slurmCode;
  }
}
