/**
 * What a cluster's own tools say of it: partitions, reservations, health, history, and the jobs that did not come through us. Read only; part of the Scheduler port
 * where the scheduler is not ours. Shapes are the wire's, so that nothing is copied field by field.
 */
import type {
  Diagnostics,
  ForeignJob,
  HistoryRow,
  NodeFact,
  PartitionFact,
  ReservationFact,
} from '../slurm/contract/index.ts';

export interface HistoryPage {
  readonly project: string;
  /** False: the whole cluster's. */
  readonly ownProject: boolean;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Rows after this one, as the last page's `next`. */
  readonly after?: string;
  readonly limit: number;
}

/** Every method: SchedulerError `unavailable`. */
export interface ClusterFacts {
  nodes(): Promise<readonly NodeFact[]>;
  partitions(): Promise<readonly PartitionFact[]>;
  reservations(): Promise<readonly ReservationFact[]>;
  diagnostics(): Promise<Diagnostics>;
  history(page: HistoryPage): Promise<{ readonly rows: readonly HistoryRow[]; readonly next: string | null }>;
  /** Jobs of the project's account that came by plain sbatch. */
  foreign(project: string): Promise<readonly ForeignJob[]>;
}

export type { Diagnostics, ForeignJob, HistoryRow, NodeFact, PartitionFact, ReservationFact };
