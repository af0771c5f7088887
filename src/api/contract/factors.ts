/** Operations on second factors: a person's own, and staff's reset of another's. Enrolling and showing one happens in a browser (pages/factor-*.ts). */
import { z } from 'zod';
import { idParameter, textField, timeField } from './fields.ts';
import { operation } from './operation.ts';

const method = z.enum(['totp', 'webauthn', 'recovery-code']);

const factorSchema = z.strictObject({
  id: z.string(),
  method,
  name: z.string(),
  createdAt: timeField,
  lastUsedAt: timeField.nullable(),
  backedUp: z.boolean().describe('Of a passkey: its provider copies it to the other devices of the person'),
  codesLeft: z.int().nullable().describe('Of recovery codes: how many are unused'),
});

const removedSchema = z.array(z.strictObject({ id: z.string(), method, name: z.string() }));

export const listFactors = operation({
  id: 'factor.list',
  method: 'GET',
  path: '/beamway/v1/self/factors',
  summary: 'List the second factors of the person whose session this is',
  tag: 'sign-in',
  response: z.strictObject({
    factors: z.array(factorSchema),
    shownAt: timeField.nullable().describe('When one was last shown in this session'),
  }),
  action: 'factor:manage',
});

export const removeFactor = operation({
  id: 'factor.remove',
  method: 'DELETE',
  path: '/beamway/v1/self/factors/{id}',
  summary: 'Remove a second factor of one’s own; one must have been shown in the last five minutes',
  tag: 'sign-in',
  params: idParameter,
  response: z.strictObject({ removed: removedSchema }),
  action: 'factor:manage',
  audit: 'mutation',
});

export const resetFactors = operation({
  id: 'factor.reset',
  method: 'POST',
  path: '/beamway/v1/factors/reset',
  summary: 'Take all second factors of a person who has lost them',
  tag: 'sign-in',
  body: z.strictObject({
    subject: textField(200).min(1).describe('The person, as in their sign-in'),
    reason: textField(500).min(1).describe('How it was made sure who asks; kept in the audit log'),
  }),
  response: z.strictObject({ subject: z.string(), removed: removedSchema }),
  action: 'person:reset-factor',
  audit: 'mutation',
  auditFields: ['subject', 'reason'],
});
