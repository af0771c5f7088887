/** A lockdown: from a moment on nobody mints and every path from outside is shut, until somebody lifts it. Reversible; both ends are recorded. */

export interface Lockdown {
  readonly id: string;
  readonly at: Date;
  /** The bearer that set it. */
  readonly by: string;
  readonly reason: string;
  readonly liftedAt: Date | null;
  readonly liftedBy: string | null;
  readonly liftReason: string | null;
}
