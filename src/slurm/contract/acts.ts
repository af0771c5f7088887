/**
 * The closed list of what a control plane may ask of a Slurm agent, with the shape of question and answer. What is not here cannot be asked;
 * bounds beyond the shape (whose job, which user, which QoS, which path) are the agent's own, from its own files. RFD 4.
 */
import { z } from 'zod';
import {
  diagnosticsSchema,
  foreignJobSchema,
  historyRowSchema,
  nodeFactSchema,
  partitionFactSchema,
  reservationFactSchema,
} from './facts.ts';
import { jobRecordSchema } from './job-record.ts';
import { accessFactSchema, reservationOrderSchema, tierFactSchema } from './policy.ts';

const text = (longest: number) =>
  z
    .string()
    .max(longest)
    .refine((s) => !s.includes('\0'), 'holds a NUL');
/** Also the name of a folder: never . or .. */
const word = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/);

/** Who asks: goes into Slurm's comment and the agent's log, never decides anything but the mapping. */
export const askerSchema = z.strictObject({ project: word, person: text(256), requestId: word });

/** A job of ours: the agent finds it by key, and refuses where the native id is not that job's. */
export const jobReferenceSchema = z.strictObject({ key: word, asker: askerSchema });

/** The secret is written into a line of a file and into JSON by a shell: no character of it may mean anything there. */
export const claimSchema = z.strictObject({
  stream: word,
  url: z.string().regex(/^https?:\/\/[A-Za-z0-9._~:/?#[\]@!$&()*+,;=%-]{1,2000}$/),
  secret: z.string().regex(/^[A-Za-z0-9._~-]{16,512}$/),
});

export const submitSchema = z.strictObject({
  key: word,
  asker: askerSchema,
  name: text(128),
  tier: word,
  script: text(512 * 1024),
  arguments: z.array(text(4096)).max(256),
  environment: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/), text(8192)),
  /** Absolute, below a root of the mapping. Absent: the job's own folder. */
  workDir: text(4096).optional(),
  stdoutPath: text(4096).optional(),
  stderrPath: text(4096).optional(),
  nodes: z.int().min(1),
  slotsPerNode: z.int().min(1),
  memoryMiBPerNode: z.int().min(1).optional(),
  timeLimitSeconds: z.int().min(1),
  requeue: z.boolean(),
  hold: z.boolean().default(false),
  notBeforeMs: z.number().optional(),
  partition: word.optional(),
  reservation: word.optional(),
  /** Generic resources on each node, such as gpu:2 or gpu:a100:1. */
  gres: z
    .string()
    .regex(/^[a-z0-9_]+(:[A-Za-z0-9_.-]+)?(:[0-9]+)?(,[a-z0-9_]+(:[A-Za-z0-9_.-]+)?(:[0-9]+)?)*$/)
    .max(256)
    .optional(),
  constraint: z
    .string()
    .regex(/^[A-Za-z0-9_&|()*,-]{1,128}$/)
    .optional(),
  exclusive: z.boolean().default(false),
  container: text(4096).optional(),
  array: z
    .strictObject({
      first: z.int().min(0),
      last: z.int().min(0),
      step: z.int().min(1).default(1),
      atOnce: z.int().min(1).optional(),
    })
    .optional(),
  dependsOn: z
    .array(z.strictObject({ key: word, when: z.enum(['started', 'ended', 'succeeded', 'failed']) }))
    .max(64)
    .default([]),
  /** Submit again, fenced, where Slurm has lost it for good. */
  resubmitIfLost: z.boolean().default(false),
  claims: z.array(claimSchema).max(16),
});

export const ACTS = {
  submit: { input: submitSchema, output: jobRecordSchema },
  show: { input: jobReferenceSchema, output: jobRecordSchema },
  /** Records of version > `after`; `complete`: all there are, because the agent does not know that cursor. */
  changes: {
    input: z.strictObject({ instance: z.string().optional(), after: z.int().default(0) }),
    output: z.strictObject({
      instance: z.string(),
      version: z.int(),
      complete: z.boolean(),
      jobs: z.array(jobRecordSchema),
    }),
  },
  cancel: {
    input: jobReferenceSchema.extend({
      signal: z.enum(['TERM', 'INT', 'HUP', 'USR1', 'USR2', 'STOP', 'CONT', 'KILL']).optional(),
    }),
    output: jobRecordSchema,
  },
  hold: { input: jobReferenceSchema, output: jobRecordSchema },
  release: { input: jobReferenceSchema, output: jobRecordSchema },
  requeue: { input: jobReferenceSchema, output: jobRecordSchema },
  update: {
    input: jobReferenceSchema.extend({
      timeLimitSeconds: z.int().min(60).optional(),
      tier: word.optional(),
      notBeforeMs: z.number().optional(),
      name: text(128).optional(),
    }),
    output: jobRecordSchema,
  },
  output: {
    input: jobReferenceSchema.extend({
      task: z.int().min(0).optional(),
      attempt: z.int().min(1),
      file: z.enum(['stdout', 'stderr']),
      offset: z.int().min(0),
      limit: z.int().min(1).max(1_048_576),
    }),
    /** Base64; `size` is the file's length now. */
    output: z.strictObject({ bytes: z.string(), size: z.int() }),
  },
  foreign: {
    input: z.strictObject({ asker: askerSchema }),
    output: z.strictObject({ jobs: z.array(foreignJobSchema) }),
  },
  history: {
    input: z.strictObject({
      asker: askerSchema,
      /** Only jobs of the asker's project; false: the whole cluster's. */
      ownProject: z.boolean(),
      sinceMs: z.number(),
      untilMs: z.number(),
      /** Rows after this one, as the last page's `next`. */
      after: text(64).optional(),
      limit: z.int().min(1).max(1000),
    }),
    output: z.strictObject({ rows: z.array(historyRowSchema), next: z.string().nullable() }),
  },
  nodes: { input: z.strictObject({}), output: z.strictObject({ nodes: z.array(nodeFactSchema) }) },
  partitions: { input: z.strictObject({}), output: z.strictObject({ partitions: z.array(partitionFactSchema) }) },
  reservations: { input: z.strictObject({}), output: z.strictObject({ reservations: z.array(reservationFactSchema) }) },
  diagnostics: { input: z.strictObject({}), output: diagnosticsSchema },
  tiers: { input: z.strictObject({}), output: z.strictObject({ tiers: z.array(tierFactSchema) }) },
  /** Only QoS whose name begins with the agent's own prefix (bw-). */
  setTier: { input: z.strictObject({ tier: tierFactSchema }), output: z.strictObject({ tier: tierFactSchema }) },
  removeTier: { input: z.strictObject({ name: word }), output: z.strictObject({}) },
  access: { input: z.strictObject({ project: word }), output: z.strictObject({ access: z.array(accessFactSchema) }) },
  grant: {
    input: z.strictObject({ project: word, tier: word }),
    output: z.strictObject({ access: z.array(accessFactSchema) }),
  },
  withdraw: {
    input: z.strictObject({ project: word, tier: word }),
    output: z.strictObject({ access: z.array(accessFactSchema) }),
  },
  reserve: {
    input: z.strictObject({ reservation: reservationOrderSchema }),
    output: z.strictObject({ reservation: reservationFactSchema }),
  },
  endReservation: { input: z.strictObject({ name: word }), output: z.strictObject({}) },
  /** The agent dials back with a WebSocket to `ticket`'s address and joins it to a terminal in the job. */
  terminal: {
    input: jobReferenceSchema.extend({
      ticket: text(256),
      columns: z.int().min(1).max(1000),
      rows: z.int().min(1).max(1000),
      command: z.array(text(4096)).max(64),
    }),
    output: z.strictObject({}),
  },
} as const;

export type ActName = keyof typeof ACTS;
export type ActInput<A extends ActName> = z.output<(typeof ACTS)[A]['input']>;
export type ActOutput<A extends ActName> = z.output<(typeof ACTS)[A]['output']>;
export type SubmitOrder = z.output<typeof submitSchema>;
export type Asker = z.output<typeof askerSchema>;
