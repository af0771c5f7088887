/** How parts of the control plane are let go of: in the reverse order of opening, after a failed start too. */

export interface StopHow {
  /** Running local jobs are ended too, and wait for the next start where they may be requeued. */
  readonly endJobs: boolean;
}

/** Lets go of one thing. */
export type Closer = (how: StopHow) => void | Promise<void>;
