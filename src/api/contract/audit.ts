/** Operations on the audit log. */
import { z } from 'zod';
import { limitField, nameField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

const recordSchema = z.strictObject({
  sequence: z.int(),
  at: timeField,
  requestId: z.string(),
  phase: z.enum(['intent', 'outcome', 'denied', 'event']),
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

export const listAudit = operation({
  id: 'audit.list',
  method: 'GET',
  path: '/beamway/v1/audit/records',
  summary: 'Read audit records, newest first',
  tag: 'audit',
  query: z.strictObject({
    project: nameField.optional(),
    requestId: wordField.optional(),
    action: wordField.optional(),
    before: z.coerce.number().int().min(1).optional(),
    limit: limitField,
  }),
  response: z.strictObject({ records: z.array(recordSchema), next: z.int().nullable() }),
  action: 'audit:read',
});

export const verifyAudit = operation({
  id: 'audit.verify',
  method: 'GET',
  path: '/beamway/v1/audit/verification',
  summary: 'Walk the hash chain and report the first broken link',
  tag: 'audit',
  response: z.strictObject({
    intact: z.boolean(),
    records: z.int(),
    head: z.string().nullable(),
    brokenAt: z.int().nullable(),
    detail: z.string().nullable(),
  }),
  action: 'audit:verify',
});
