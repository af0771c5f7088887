/** Operations on policy. */
import { z } from 'zod';
import { nameField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

export const explainPolicy = operation({
  id: 'policy.explain',
  method: 'GET',
  path: '/beamway/v1/policy/explanation',
  summary: 'Would this token be allowed to do this there and then, by which rules, and what would change it?',
  tag: 'policy',
  query: z.strictObject({
    as: wordField.describe('Id of a token or session'),
    action: wordField,
    resource: wordField
      .optional()
      .describe('What it is done to: the id of a job, stream, run or token, or the name of a project'),
    project: nameField.optional().describe("Default: the resource's, else the token's"),
    environment: nameField.optional().describe("Default: the resource's"),
    tier: nameField.optional(),
    scopes: z
      .string()
      .regex(/^[a-z:,-]{1,400}$/)
      .optional()
      .describe('For token:mint: the scopes that would be asked for, with commas'),
    at: timeField.optional().describe('Default: now. Policies are those of now'),
  }),
  response: z.strictObject({
    allowed: z.boolean().describe('By the state of the token and by policy'),
    at: timeField,
    policyDigest: z.string(),
    tokenState: z.enum(['active', 'not-yet-valid', 'expired', 'revoked']),
    factorAgeMinutes: z
      .int()
      .nullable()
      .describe('Of a session: minutes since a second factor was shown in it, at most 1440'),
    lockdown: z.boolean().describe('The facility was locked down then, as far as its last lockdown says'),
    resource: z.record(z.string(), z.union([z.string(), z.array(z.string())])).describe('As policy saw it'),
    rules: z
      .array(z.strictObject({ rule: z.string(), detail: z.string() }))
      .describe('What decides; of a denial, all that stands against it and what would change that'),
    notes: z.array(z.string()).describe('What the answer does not look at'),
  }),
  action: 'policy:explain',
});
