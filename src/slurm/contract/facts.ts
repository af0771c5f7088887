/** The wire between control plane and Slurm agent: what a cluster is just now. Nodes, partitions, reservations, health, history, jobs that are not ours. */
import { z } from 'zod';

export const nodeFactSchema = z.strictObject({
  name: z.string(),
  slots: z.int(),
  free: z.int(),
  memoryMiB: z.int(),
  /** Generic resources as Slurm writes them, such as gpu:4. */
  gres: z.string(),
  partitions: z.array(z.string()),
  state: z.enum(['up', 'draining', 'down']),
  /** Slurm's own words, such as IDLE+RESERVED. */
  nativeState: z.string(),
  reason: z.string(),
});

export const partitionFactSchema = z.strictObject({
  name: z.string(),
  default: z.boolean(),
  state: z.enum(['up', 'down', 'drain', 'inactive']),
  nodes: z.int(),
  slots: z.int(),
  /** Absent: no limit. */
  maxTimeSeconds: z.int().optional(),
  defaultTimeSeconds: z.int().optional(),
});

export const reservationFactSchema = z.strictObject({
  name: z.string(),
  startMs: z.number(),
  endMs: z.number(),
  nodes: z.array(z.string()),
  nodeCount: z.int(),
  flags: z.array(z.string()),
  accounts: z.array(z.string()),
  users: z.array(z.string()),
  partition: z.string(),
});

export const diagnosticsSchema = z.strictObject({
  controller: z.enum(['up', 'down']),
  database: z.enum(['up', 'down', 'unknown']),
  slurmVersion: z.string(),
  /** Of slurmrestd, such as v0.0.38; absent where only the command line is used. */
  apiVersion: z.string().optional(),
  jobsRunning: z.int(),
  jobsPending: z.int(),
  /** Remote procedure calls that slurmctld has served since its counters were reset. */
  rpcsServed: z.int(),
  backfillDepth: z.int(),
  lastCycleMicroseconds: z.int(),
  agentQueue: z.int(),
});

export const historyRowSchema = z.strictObject({
  nativeId: z.string(),
  /** Ours, where the job is ours. */
  key: z.string().optional(),
  name: z.string(),
  user: z.string(),
  account: z.string(),
  tier: z.string(),
  partition: z.string(),
  state: z.string(),
  exitCode: z.int().optional(),
  submittedAtMs: z.number(),
  startedAtMs: z.number().optional(),
  endedAtMs: z.number().optional(),
  nodes: z.int(),
  slots: z.int(),
});

/** A job of the queue that did not come through us. */
export const foreignJobSchema = z.strictObject({
  nativeId: z.string(),
  name: z.string(),
  user: z.string(),
  account: z.string(),
  tier: z.string(),
  partition: z.string(),
  state: z.string(),
  reason: z.string(),
  nodes: z.int(),
  submittedAtMs: z.number(),
});

export type NodeFact = z.output<typeof nodeFactSchema>;
export type PartitionFact = z.output<typeof partitionFactSchema>;
export type ReservationFact = z.output<typeof reservationFactSchema>;
export type Diagnostics = z.output<typeof diagnosticsSchema>;
export type HistoryRow = z.output<typeof historyRowSchema>;
export type ForeignJob = z.output<typeof foreignJobSchema>;
