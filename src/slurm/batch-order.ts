/**
 * What the agent's inside agrees on: PORT SlurmWrite and SlurmRead, which rest/ and command/ implement, and the shapes between. Times are ms since 1970,
 * sizes MiB. Every method throws SlurmFailure only; `unavailable` may be repeated. Exit status and HTTP status are never the proof: what was written is read back.
 */
import type {
  Diagnostics,
  ForeignJob,
  HistoryRow,
  NodeFact,
  PartitionFact,
  ReservationFact,
} from './contract/index.ts';

/** Whom a job runs as, from the mapping; never root, uid at least 1000. */
export interface MappedUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** A Unix group whose only members are this user and the agent. */
  readonly group: { readonly name: string; readonly gid: number };
  readonly account: string;
  /** Absolute folders below which the job's paths must lie, links resolved. */
  readonly roots: readonly string[];
}

/** One batch job as handed to Slurm. Arguments and variables of the user are not in it: they are in the job's folder. */
export interface BatchOrder {
  readonly name: string;
  readonly account: string;
  readonly qos: string;
  readonly partition?: string;
  readonly reservation?: string;
  /** The wrapper's text. */
  readonly script: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly comment: string;
  readonly workDir: string;
  /** Of the wrapper itself. */
  readonly stdoutPath: string;
  readonly stderrPath: string;
  readonly nodes: number;
  readonly tasksPerNode: number;
  readonly memoryMiBPerNode?: number;
  readonly timeLimitMinutes: number;
  readonly requeue: boolean;
  readonly hold: boolean;
  readonly beginMs?: number;
  readonly gres?: string;
  readonly constraint?: string;
  readonly exclusive: boolean;
  readonly container?: string;
  /** As Slurm writes it, such as 0-99%10. */
  readonly array?: string;
  /** As Slurm writes it, such as afterok:12:13. */
  readonly dependency?: string;
}

/** A line of the queue: one job, or one task (or group of waiting tasks) of an array. What Slurm calls a state is kept as it is. */
export interface QueueRow {
  /** The job's own number; of an array its first one. */
  readonly jobId: string;
  /** Task numbers this row stands for; absent: no array. */
  readonly tasks?: readonly number[];
  readonly name: string;
  readonly user: string;
  readonly account: string;
  readonly qos: string;
  readonly partition: string;
  /** PENDING, RUNNING, … in upper case. */
  readonly state: string;
  /** As Slurm says it; 'None' becomes ''. */
  readonly reasonCode: string;
  readonly comment: string;
  readonly priority: number;
  readonly restarts: number;
  readonly requeue: boolean;
  readonly nodes: number;
  /** Host names, expanded; empty while it waits. */
  readonly nodeNames: readonly string[];
  readonly timeLimitMinutes?: number;
  readonly submitMs: number;
  readonly eligibleMs?: number;
  readonly startMs?: number;
  readonly endMs?: number;
  /** When Slurm preempted it the last time. */
  readonly preemptMs?: number;
  readonly exitCode?: number;
  readonly signal?: number;
}

export interface HistoryQuery {
  readonly account?: string;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly jobIds?: readonly string[];
}

/** A row of the accounting database; a requeued job has one for each run. */
export interface AccountingRow extends HistoryRow {
  readonly comment: string;
  readonly signal?: number;
  readonly reasonCode: string;
}

export interface SlurmRead {
  /** Every job that slurmctld remembers, ended ones too. One RPC. */
  queue(): Promise<readonly QueueRow[]>;
  /** Undefined where slurmctld knows no such job (any more). An array gives several. */
  job(jobId: string): Promise<readonly QueueRow[] | undefined>;
  history(query: HistoryQuery): Promise<readonly AccountingRow[]>;
  nodes(): Promise<readonly NodeFact[]>;
  partitions(): Promise<readonly PartitionFact[]>;
  reservations(): Promise<readonly ReservationFact[]>;
  diagnostics(): Promise<Diagnostics>;
}

export interface SlurmWrite {
  /** The new job's number. Not idempotent: submit-once is the caller's. Whether it may be requeued is not believed: the caller sets it by `update`. */
  submit(order: BatchOrder, user: MappedUser): Promise<string>;
  /** Without a signal: the end of the job. `tasks`: of an array only these. */
  cancel(jobId: string, user: MappedUser, signal?: string): Promise<void>;
  hold(jobId: string, user: MappedUser): Promise<void>;
  release(jobId: string, user: MappedUser): Promise<void>;
  requeue(jobId: string, user: MappedUser): Promise<void>;
  update(
    jobId: string,
    user: MappedUser,
    change: {
      readonly timeLimitMinutes?: number;
      readonly qos?: string;
      readonly beginMs?: number;
      readonly name?: string;
      readonly requeue?: boolean;
    },
  ): Promise<void>;
}

export type { ForeignJob };
