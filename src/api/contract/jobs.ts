/** Operations on jobs. What a job may ask for is job-spec.ts. */
import { z } from 'zod';
import { idParameter, limitField, nameField, timeField, wordField } from './fields.ts';
import { arrayField, dependencyField, jobNameField, jobSpecSchema, timeLimitField } from './job-spec.ts';
import { operation, type ServerEvent } from './operation.ts';

const attemptSchema = z.strictObject({
  task: z.int().nullable().describe('Of an array: which task'),
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

const taskCountsSchema = z.strictObject({
  total: z.int(),
  waiting: z.int(),
  running: z.int(),
  completed: z.int(),
  failed: z.int(),
});

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
  reasonCode: z.string().nullable().describe("The scheduler's own word for it, such as QOSGrpNodeLimit"),
  expectedStart: timeField.nullable().describe('When the scheduler means to start it, as it thinks now'),
  partition: z.string().nullable(),
  account: z.string().nullable().describe("The scheduler's account that it is counted on"),
  unixUser: z.string().nullable().describe('The Unix user that it runs as'),
  nodes: z.int(),
  slotsPerNode: z.int(),
  timeLimitSeconds: z.int(),
  notBefore: timeField.nullable(),
  array: arrayField.nullable(),
  tasks: taskCountsSchema.nullable().describe('Of an array: how many tasks are where'),
  dependsOn: z.array(dependencyField),
  streams: z.array(z.strictObject({ stream: z.string(), name: z.string(), role: z.enum(['producer', 'consumer']) })),
  submittedBy: z.string(),
  submittedAt: timeField,
  updatedAt: timeField,
  attempts: z.array(attemptSchema).describe('By task, then number. In a list those of an array are left out.'),
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
    'executable',
    'workDir',
    'stdoutPath',
    'stderrPath',
    'notBefore',
    'hold',
    'partition',
    'reservation',
    'gres',
    'constraint',
    'exclusive',
    'container',
    'memoryMiBPerNode',
    'array',
    'dependsOn',
    'resubmitIfLost',
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

/** Of hold, release, requeue, update and signal. Each may carry an Idempotency-Key: repeated without an answer, it is done once. */
const control = <const V extends string>(verb: V) =>
  ({
    method: 'POST',
    path: `/beamway/v1/jobs/{id}/${verb}`,
    tag: 'jobs',
    params: idParameter,
    response: jobSchema,
    action: 'job:control',
    audit: 'mutation',
    idempotent: true,
  }) as const;

export const holdJob = operation({
  ...control('hold'),
  id: 'job.hold',
  summary: 'Hold a job that waits: it is not started until it is released',
});

export const releaseJob = operation({
  ...control('release'),
  id: 'job.release',
  summary: 'Let a held job be started',
});

export const requeueJob = operation({
  ...control('requeue'),
  id: 'job.requeue',
  summary: "End a running job's attempt and queue the job again",
});

export const updateJob = operation({
  ...control('update'),
  id: 'job.update',
  summary: "Change a job's name, time limit, tier or earliest start",
  body: z
    .strictObject({
      name: jobNameField.optional(),
      timeLimitSeconds: timeLimitField.min(60).optional(),
      tier: nameField.optional(),
      notBefore: timeField.optional(),
    })
    .refine((change) => Object.values(change).some((v) => v !== undefined), 'name at least one thing to change'),
  auditFields: ['name', 'timeLimitSeconds', 'tier', 'notBefore'],
});

/** No DELETE with a signal: what is signalled stays, and a second signal is not the first one repeated. */
export const signalJob = operation({
  ...control('signal'),
  id: 'job.signal',
  summary: "Send a signal to a running job's processes",
  body: z.strictObject({ signal: z.enum(['TERM', 'INT', 'HUP', 'USR1', 'USR2', 'STOP', 'CONT', 'KILL']) }),
  auditFields: ['signal'],
});

const whichOutput = {
  file: z.enum(['stdout', 'stderr']).default('stdout'),
  task: z.coerce.number().int().min(0).optional().describe('Of an array: which task'),
  attempt: z.coerce.number().int().min(1).optional().describe('Default: the newest'),
  offset: z.coerce.number().int().min(0).default(0).describe('Bytes from the start of the file'),
};

export const readJobOutput = operation({
  id: 'job.output',
  method: 'GET',
  path: '/beamway/v1/jobs/{id}/output',
  summary: "Read a part of an attempt's output file",
  tag: 'jobs',
  params: idParameter,
  query: z.strictObject({
    ...whichOutput,
    limit: z.coerce.number().int().min(1).max(1_048_576).default(65_536).describe('Bytes at the most'),
  }),
  response: z.strictObject({
    task: z.int().nullable(),
    attempt: z.int(),
    text: z.string(),
    nextOffset: z.int(),
    ended: z.boolean(),
  }),
  action: 'job:read',
});

/** Recorded like a mutation: one record says who followed whose output. */
export const followJobOutput = operation({
  id: 'job.follow',
  method: 'GET',
  path: '/beamway/v1/jobs/{id}/output/events',
  summary:
    "Follow an attempt's output as Server-Sent Events: output, attempt, end. Last-Event-ID goes on where an earlier one broke",
  tag: 'jobs',
  params: idParameter,
  query: z.strictObject({
    ...whichOutput,
    attempts: z
      .enum(['one', 'all'])
      .default('one')
      .describe('all: from the oldest attempt on (or the one named) to the end of the job'),
  }),
  response: z.custom<AsyncIterable<ServerEvent>>(),
  action: 'job:read',
  audit: 'mutation',
  longPoll: true,
  events: true,
});
