/** Operations on the audit log. */
import { z } from 'zod';
import { idParameter, limitField, nameField, textField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

const phaseField = z.enum(['intent', 'outcome', 'denied', 'event']);
const sequenceField = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER);

const recordSchema = z.strictObject({
  sequence: z.int(),
  at: timeField,
  requestId: z.string(),
  phase: phaseField,
  callerKind: z.string(),
  callerId: z.string(),
  subject: z.string(),
  project: z.string().nullable(),
  action: z.string(),
  resource: z.string(),
  status: z.int().nullable(),
  detail: z.record(z.string(), z.unknown()),
  digest: z.string().describe('SHA-256 over the digest before it and this record, hex'),
});

const checkpointSchema = z
  .strictObject({
    kind: z.enum(['mark', 'start']),
    sequence: z.int(),
    digest: z.string(),
    at: timeField,
    keyId: z.string(),
    signature: z.string().describe('Ed25519, base64'),
  })
  .describe('mark: the chain is sealed up to here; start: what was before was dropped after its retention');

export const listAudit = operation({
  id: 'audit.list',
  method: 'GET',
  path: '/beamway/v1/audit/records',
  summary: 'Read audit records, newest first, or oldest first behind a given one',
  tag: 'audit',
  query: z.strictObject({
    project: nameField.optional(),
    requestId: wordField.optional(),
    action: wordField.optional(),
    caller: wordField.describe('Id of a bearer, or name of a part of Beamway').optional(),
    subject: textField(256).optional(),
    phase: phaseField.optional(),
    status: z.coerce.number().int().min(100).max(599).optional(),
    since: timeField.optional(),
    until: timeField.describe('Exclusive').optional(),
    before: sequenceField.describe('The page before: newest first').optional(),
    after: z.coerce.number().int().min(0).describe('Oldest first, behind this one').optional(),
    limit: limitField,
  }),
  response: z.strictObject({
    records: z.array(recordSchema),
    next: z.int().nullable().describe('For before, or for after where that was given'),
  }),
  action: 'audit:read',
});

export const showAudit = operation({
  id: 'audit.show',
  method: 'GET',
  path: '/beamway/v1/audit/records/{id}',
  summary: 'Show one audit record by its sequence number',
  tag: 'audit',
  params: z.strictObject({ id: sequenceField }),
  query: z.strictObject({ project: nameField.optional() }),
  response: recordSchema,
  action: 'audit:read',
});

export const traceAudit = operation({
  id: 'audit.trace',
  method: 'GET',
  path: '/beamway/v1/audit/traces/{id}',
  summary: 'The whole story around a request, token, job, stream or run, in the order it was recorded',
  tag: 'audit',
  params: idParameter,
  query: z.strictObject({ project: nameField.optional() }),
  response: z.strictObject({
    records: z.array(recordSchema),
    cut: z.boolean().describe('The story is longer than one answer'),
  }),
  action: 'audit:read',
});

export const verifyAudit = operation({
  id: 'audit.verify',
  method: 'GET',
  path: '/beamway/v1/audit/verification',
  summary: 'Walk the hash chain and its signed checkpoints, and report the first broken link',
  tag: 'audit',
  response: z.strictObject({
    intact: z.boolean(),
    records: z.int().describe('Intact ones'),
    first: z.int().nullable(),
    head: z.string().nullable(),
    signedThrough: z.int().nullable(),
    brokenAt: z.int().nullable(),
    type: z.enum(['altered', 'missing', 'truncated', 'reordered', 'checkpoint-mismatch', 'unsigned']).nullable(),
    detail: z.string().nullable(),
  }),
  action: 'audit:verify',
});

export const showAuditKey = operation({
  id: 'audit.key',
  method: 'GET',
  path: '/beamway/v1/audit/key',
  summary: 'The public key that checkpoints are signed with',
  tag: 'audit',
  response: z.strictObject({
    keyId: z.string(),
    algorithm: z.literal('ed25519'),
    publicKey: z.string().describe('PEM'),
  }),
  action: 'audit:verify',
});

export const makeCheckpoint = operation({
  id: 'audit.checkpoint',
  method: 'POST',
  path: '/beamway/v1/audit/checkpoints',
  summary: 'Seal the chain now with a signed checkpoint',
  tag: 'audit',
  success: 201,
  response: checkpointSchema,
  action: 'audit:verify',
  audit: 'mutation',
});

export const listCheckpoints = operation({
  id: 'audit.checkpoints',
  method: 'GET',
  path: '/beamway/v1/audit/checkpoints',
  summary: 'Signed checkpoints, oldest first',
  tag: 'audit',
  query: z.strictObject({ after: z.coerce.number().int().min(0).default(0), limit: limitField }),
  response: z.strictObject({ checkpoints: z.array(checkpointSchema), next: z.int().nullable() }),
  action: 'audit:verify',
});
