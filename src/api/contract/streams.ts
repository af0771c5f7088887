/** Operations on streams and their templates. */
import { z } from 'zod';
import { idParameter, limitField, nameField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

const STREAM_STATES = [
  'pending',
  'ready',
  'paused',
  'draining',
  'unreachable',
  'releasing',
  'released',
  'failed',
] as const;

export const countersSchema = z.strictObject({
  messagesIn: z.int(),
  messagesOut: z.int(),
  bytesIn: z.int(),
  bytesOut: z.int(),
  dropped: z.int(),
  redelivered: z.int(),
  buffered: z.int().describe('Messages in the buffer now'),
  bufferedBytes: z.int(),
  producers: z.int(),
  consumers: z.int(),
  refused: z.int().describe('Connections refused so far'),
  unconfirmed: z
    .int()
    .optional()
    .describe(
      'Published without confirms, so that what a full queue refuses is lost unseen; absent where nobody counts it',
    ),
});

const connectionSchema = z.strictObject({
  id: z.string(),
  role: z.enum(['producer', 'consumer']),
  credential: z.string(),
  remoteAddress: z.string(),
  messages: z.int(),
  bytes: z.int(),
  connectedAt: timeField,
});

const usageSchema = z.strictObject({
  bytes: z.int().describe('From producers, as they come on the wire'),
  byteQuota: z.int().describe('0: none'),
  messages: z.int(),
  messageQuota: z.int().describe('0: none'),
  reached: z.string().describe('Which quota is used up, in words; empty: none'),
});

export const streamSchema = z.strictObject({
  id: z.string(),
  project: z.string(),
  environment: z.string(),
  name: z.string(),
  template: z.string(),
  engine: z.string(),
  delivery: z.enum(['at-most-once', 'redeliver']),
  parameters: z.record(z.string(), z.unknown()),
  node: z.string().describe('The data streaming node that carries it'),
  state: z.enum(STREAM_STATES),
  reason: z.string(),
  endpoints: z.record(z.string(), z.string()).describe('Endpoint by role'),
  createdBy: z.string(),
  createdAt: timeField,
  expiresAt: timeField,
  releasedAt: timeField.nullable(),
  usage: usageSchema.nullable().describe('What was put in over its whole life; null: not counted, or not yet'),
  counters: countersSchema.nullable(),
  connections: z.array(connectionSchema),
});

export const createStream = operation({
  id: 'stream.create',
  method: 'POST',
  path: '/beamway/v1/streams',
  summary: 'Provision a stream from a template and the few parameters it leaves open',
  tag: 'streams',
  body: z.strictObject({
    name: nameField,
    project: nameField.optional(),
    environment: nameField.optional(),
    template: nameField,
    parameters: z.record(z.string(), z.unknown()).default({}),
  }),
  success: 202,
  response: streamSchema,
  action: 'stream:create',
  audit: 'mutation',
  limitClass: 'stream',
  auditFields: ['name', 'project', 'environment', 'template', 'parameters'],
  idempotent: true,
});

export const listStreams = operation({
  id: 'stream.list',
  method: 'GET',
  path: '/beamway/v1/streams',
  summary: 'List streams, newest first',
  tag: 'streams',
  query: z.strictObject({
    project: nameField.optional(),
    released: z.enum(['true', 'false']).default('false'),
    before: wordField.optional(),
    limit: limitField,
  }),
  response: z.strictObject({ streams: z.array(streamSchema), next: z.string().nullable() }),
  action: 'stream:read',
});

export const showStream = operation({
  id: 'stream.show',
  method: 'GET',
  path: '/beamway/v1/streams/{id}',
  summary: 'Show one stream with its counters and connections',
  tag: 'streams',
  params: idParameter,
  query: z.strictObject({
    waitSeconds: z.coerce
      .number()
      .min(0)
      .max(30)
      .default(0)
      .describe('Wait so long for it to leave the state pending, draining or releasing'),
  }),
  response: streamSchema,
  action: 'stream:read',
  longPoll: true,
});

export const extendStream = operation({
  id: 'stream.extend',
  method: 'POST',
  path: '/beamway/v1/streams/{id}/extend',
  summary: 'Let a stream live so long from now, within its template',
  tag: 'streams',
  params: idParameter,
  body: z.strictObject({ lifetimeSeconds: z.int().min(1) }),
  response: streamSchema,
  action: 'stream:create',
  audit: 'mutation',
  limitClass: 'stream',
  auditFields: ['lifetimeSeconds'],
});

export const setStream = operation({
  id: 'stream.set',
  method: 'POST',
  path: '/beamway/v1/streams/{id}/parameters',
  summary: 'Change parameters of a stream while it lives, within its template',
  tag: 'streams',
  params: idParameter,
  body: z.strictObject({
    parameters: z
      .record(z.string(), z.unknown())
      .describe('bufferBytes, bytesPerSecond, messagesPerSecond, byteQuota, messageQuota, externalAddresses'),
  }),
  response: streamSchema,
  action: 'stream:create',
  audit: 'mutation',
  limitClass: 'stream',
  auditFields: ['parameters'],
});

export const pauseStream = operation({
  id: 'stream.pause',
  method: 'POST',
  path: '/beamway/v1/streams/{id}/pause',
  summary: 'Pause a stream: its producers are not read and wait; consumers go on',
  tag: 'streams',
  params: idParameter,
  response: streamSchema,
  action: 'stream:create',
  audit: 'mutation',
});

export const resumeStream = operation({
  id: 'stream.resume',
  method: 'POST',
  path: '/beamway/v1/streams/{id}/resume',
  summary: 'Let a paused stream go on',
  tag: 'streams',
  params: idParameter,
  response: streamSchema,
  action: 'stream:create',
  audit: 'mutation',
});

export const drainStream = operation({
  id: 'stream.drain',
  method: 'POST',
  path: '/beamway/v1/streams/{id}/drain',
  summary: 'Release a stream once nothing is left in it: producers are cut, consumers go on',
  tag: 'streams',
  params: idParameter,
  body: z.strictObject({
    withinSeconds: z.int().min(1).max(604_800).default(600).describe('Then it is released, whatever is left'),
  }),
  success: 202,
  response: streamSchema,
  action: 'stream:create',
  audit: 'mutation',
  auditFields: ['withinSeconds'],
});

export const deleteStream = operation({
  id: 'stream.delete',
  method: 'DELETE',
  path: '/beamway/v1/streams/{id}',
  summary: 'Release a stream: its connections are closed, its port and memory freed',
  tag: 'streams',
  params: idParameter,
  success: 202,
  response: streamSchema,
  action: 'stream:create',
  audit: 'mutation',
});

export const credentialSchema = z.strictObject({
  id: z.string(),
  stream: z.string(),
  role: z.enum(['producer', 'consumer']),
  endpoint: z
    .string()
    .describe('For ZeroMQ tcp://127.0.0.1:5555, for Redis redis://127.0.0.1:6379, for RabbitMQ amqp://127.0.0.1:5672'),
  username: z.string().describe('Of PLAIN (ZeroMQ, AMQP) or AUTH (Redis)'),
  password: z.string().describe('Shown once'),
  authority: z.string().nullable().describe('Where the endpoint speaks TLS: the certificate to verify it with, PEM'),
  delivery: z.enum(['at-most-once', 'redeliver']),
  expiresAt: timeField,
  active: z.boolean().describe('The node has it; false: it will within its next sync'),
});

export const issueCredential = operation({
  id: 'stream.credential',
  method: 'POST',
  path: '/beamway/v1/streams/{id}/credentials',
  summary: 'Obtain a short-lived credential for one role of a stream; its password is shown once',
  tag: 'streams',
  params: idParameter,
  body: z.strictObject({ role: z.enum(['producer', 'consumer']), lifetimeSeconds: z.int().min(1).optional() }),
  success: 201,
  response: credentialSchema,
  action: 'stream:connect',
  audit: 'mutation',
  limitClass: 'stream',
  auditFields: ['role', 'lifetimeSeconds'],
});

export const listTemplates = operation({
  id: 'template.list',
  method: 'GET',
  path: '/beamway/v1/templates',
  summary: 'Stream templates and the bounds of their parameters',
  tag: 'streams',
  response: z.strictObject({ templates: z.array(z.record(z.string(), z.unknown())) }),
  action: 'stream:read',
});
