/** Operations on jobs. The body has the shape of a PSI/J JobSpec, in our words. */
import { z } from 'zod';
import { idParameter, limitField, nameField, textField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

const SCRIPT_BYTES = 512 * 1024;

export const jobSpecSchema = z.strictObject({
  name: textField(128).min(1).default('job'),
  project: nameField.optional().describe("Default: the token's project"),
  environment: nameField.optional().describe("Default: the token's environment where it has one only"),
  tier: nameField.default('batch'),
  script: textField(SCRIPT_BYTES)
    .refine((s) => s.startsWith('#!'), 'must start with an interpreter line such as #!/bin/sh')
    .describe('Text of the script, with its #! line; never passed through a shell of ours'),
  arguments: z.array(textField(4096)).max(256).default([]),
  variables: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'a variable name'), textField(8192))
    .default({})
    .describe('Environment variables. Nothing secret belongs here: schedulers archive them.'),
  nodes: z.int().min(1).max(10_000).default(1),
  slotsPerNode: z.int().min(1).max(4096).default(1).describe('Processor slots on each node'),
  timeLimitSeconds: z.int().min(1).max(31_536_000).default(3600),
  requeue: z.boolean().default(true).describe('May be queued again after a preemption or a node failure'),
  streams: z
    .array(z.strictObject({ stream: wordField, name: nameField, role: z.enum(['producer', 'consumer']) }))
    .max(16)
    .default([])
    .describe('Streams whose endpoint and credential the job claims when it starts'),
});

const attemptSchema = z.strictObject({
  attempt: z.int().min(1),
  startedAt: timeField,
  endedAt: timeField.nullable(),
  placement: z.array(z.strictObject({ node: z.string(), slots: z.array(z.int()) })),
  outcome: z.string().nullable(),
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
});

export const JOB_STATES = [
  'accepted',
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

export const jobSchema = z.strictObject({
  id: z.string(),
  project: z.string(),
  environment: z.string(),
  cluster: z.string(),
  nativeId: z.string().nullable(),
  name: z.string(),
  tier: z.string(),
  state: z.enum(JOB_STATES),
  reason: z.string().describe('Why it waits or how it ended, in plain words'),
  nodes: z.int(),
  slotsPerNode: z.int(),
  timeLimitSeconds: z.int(),
  streams: z.array(z.strictObject({ stream: z.string(), name: z.string(), role: z.enum(['producer', 'consumer']) })),
  submittedBy: z.string(),
  submittedAt: timeField,
  updatedAt: timeField,
  attempts: z.array(attemptSchema),
});

export const submitJob = operation({
  id: 'job.submit',
  method: 'POST',
  path: '/beamway/v1/jobs',
  summary: 'Submit a job',
  tag: 'jobs',
  body: jobSpecSchema,
  success: 201,
  response: jobSchema,
  action: 'job:submit',
  audit: 'mutation',
  limitClass: 'submit',
  auditFields: [
    'name',
    'project',
    'environment',
    'tier',
    'nodes',
    'slotsPerNode',
    'timeLimitSeconds',
    'requeue',
    'streams',
  ],
  idempotent: true,
});

export const listJobs = operation({
  id: 'job.list',
  method: 'GET',
  path: '/beamway/v1/jobs',
  summary: 'List jobs, newest first',
  tag: 'jobs',
  query: z.strictObject({
    project: nameField.optional(),
    environment: nameField.optional(),
    state: z.enum(JOB_STATES).optional(),
    before: wordField.optional().describe('Id of the last job of the page before'),
    limit: limitField,
  }),
  response: z.strictObject({ jobs: z.array(jobSchema), next: z.string().nullable() }),
  action: 'job:read',
});

export const showJob = operation({
  id: 'job.show',
  method: 'GET',
  path: '/beamway/v1/jobs/{id}',
  summary: 'Show one job with its attempts',
  tag: 'jobs',
  params: idParameter,
  response: jobSchema,
  action: 'job:read',
});

export const cancelJob = operation({
  id: 'job.cancel',
  method: 'DELETE',
  path: '/beamway/v1/jobs/{id}',
  summary: 'Cancel a job; one that has ended is left as it is',
  tag: 'jobs',
  params: idParameter,
  response: jobSchema,
  action: 'job:cancel',
  audit: 'mutation',
});

export const readJobOutput = operation({
  id: 'job.output',
  method: 'GET',
  path: '/beamway/v1/jobs/{id}/output',
  summary: "Read a part of an attempt's output file",
  tag: 'jobs',
  params: idParameter,
  query: z.strictObject({
    file: z.enum(['stdout', 'stderr']).default('stdout'),
    attempt: z.coerce.number().int().min(1).optional().describe('Default: the newest'),
    offset: z.coerce.number().int().min(0).default(0).describe('Bytes from the start of the file'),
    limit: z.coerce.number().int().min(1).max(1_048_576).default(65_536).describe('Bytes at the most'),
  }),
  response: z.strictObject({ attempt: z.int(), text: z.string(), nextOffset: z.int(), ended: z.boolean() }),
  action: 'job:read',
});
