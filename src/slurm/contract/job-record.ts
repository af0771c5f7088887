/**
 * The wire between control plane and Slurm agent: a job as the agent knows it, put together from what Slurm says and what the job's folder proves.
 * Level-triggered: a record holds everything, and a later `version` replaces an earlier one. RFD 4.
 */
import { z } from 'zod';

export const RECORD_STATES = [
  'queued',
  'held',
  'running',
  'suspended',
  'completing',
  'preempting',
  'completed',
  'failed',
  'cancelled',
  'timed-out',
  'node-failed',
  'lost',
] as const;

export const attemptRecordSchema = z.strictObject({
  /** Of an array: which task. */
  task: z.int().min(0).optional(),
  attempt: z.int().min(1),
  /** Which submission to Slurm it belongs to: 1, and more where Slurm forgot the job. */
  submission: z.int().min(1),
  nativeId: z.string(),
  startedAtMs: z.number(),
  endedAtMs: z.number().optional(),
  nodes: z.array(z.string()),
  outcome: z
    .enum(['completed', 'failed', 'cancelled', 'timed-out', 'preempted', 'requeued', 'node-failed', 'not-started'])
    .optional(),
  exitCode: z.int().optional(),
  signal: z.string().optional(),
  stdoutPath: z.string(),
  stderrPath: z.string(),
});

export const taskCountsSchema = z.strictObject({
  total: z.int(),
  waiting: z.int(),
  running: z.int(),
  completed: z.int(),
  failed: z.int(),
});

export const jobRecordSchema = z.strictObject({
  /** Grows with every change of any record of this agent instance. */
  version: z.int(),
  key: z.string(),
  nativeId: z.string(),
  name: z.string(),
  project: z.string(),
  user: z.string(),
  /** The Unix user that it runs as. */
  unixUser: z.string(),
  account: z.string(),
  tier: z.string(),
  partition: z.string(),
  state: z.enum(RECORD_STATES),
  /** Slurm's own word for why it waits or how it ended, such as QOSGrpNodeLimit; empty where it says none. */
  reasonCode: z.string(),
  /** The same in plain words. */
  reason: z.string(),
  nodes: z.int(),
  slotsPerNode: z.int(),
  timeLimitSeconds: z.int(),
  requeue: z.boolean(),
  submittedAtMs: z.number(),
  /** When Slurm means to start it, as it thinks now. */
  expectedStartMs: z.number().optional(),
  endedAtMs: z.number().optional(),
  tasks: taskCountsSchema.optional(),
  attempts: z.array(attemptRecordSchema),
});

export type JobRecord = z.output<typeof jobRecordSchema>;
export type AttemptRecord = z.output<typeof attemptRecordSchema>;
export type RecordState = (typeof RECORD_STATES)[number];
