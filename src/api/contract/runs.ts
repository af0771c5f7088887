/** Operations on workflow runs. */
import { z } from 'zod';
import { idParameter, limitField, nameField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

const RUN_STATES = ['running', 'cancelling', 'completed', 'failed', 'cancelled'] as const;

export const runSchema = z.strictObject({
  id: z.string(),
  project: z.string(),
  environment: z.string(),
  workflow: z.string(),
  state: z.enum(RUN_STATES),
  reason: z.string(),
  createdBy: z.string(),
  createdAt: timeField,
  endedAt: timeField.nullable(),
  effects: z.array(
    z.strictObject({
      name: z.string(),
      kind: z.enum(['stream', 'job']),
      state: z.enum(['waiting', 'made', 'ready', 'succeeded', 'failed', 'released']),
      target: z.string().nullable().describe('Id of the stream or job'),
      reason: z.string(),
    }),
  ),
});

export const createRun = operation({
  id: 'run.create',
  method: 'POST',
  path: '/beamway/v1/runs',
  summary: 'Start a workflow: its streams are provisioned, its steps submitted, its streams released at the end',
  tag: 'runs',
  body: z.strictObject({
    workflow: z.string().min(1).max(262_144).describe('The text of workflow.yaml'),
    project: nameField.optional(),
    environment: nameField.optional(),
    parameters: z
      .record(z.string(), z.string())
      .default({})
      .describe('Values for the parameters the workflow declares'),
  }),
  success: 201,
  response: runSchema,
  action: 'run:create',
  audit: 'mutation',
  limitClass: 'submit',
  auditFields: ['project', 'environment'],
  idempotent: true,
});

export const listRuns = operation({
  id: 'run.list',
  method: 'GET',
  path: '/beamway/v1/runs',
  summary: 'List runs, newest first',
  tag: 'runs',
  query: z.strictObject({ project: nameField.optional(), before: wordField.optional(), limit: limitField }),
  response: z.strictObject({ runs: z.array(runSchema), next: z.string().nullable() }),
  action: 'job:read',
});

export const showRun = operation({
  id: 'run.show',
  method: 'GET',
  path: '/beamway/v1/runs/{id}',
  summary: 'Show one run and what it has made',
  tag: 'runs',
  params: idParameter,
  response: runSchema,
  action: 'job:read',
});

export const cancelRun = operation({
  id: 'run.cancel',
  method: 'POST',
  path: '/beamway/v1/runs/{id}/cancel',
  summary: 'Cancel a run: its jobs are cancelled and its streams released',
  tag: 'runs',
  params: idParameter,
  response: runSchema,
  action: 'run:create',
  audit: 'mutation',
});
