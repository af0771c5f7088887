/** Operations on policy. */
import { z } from 'zod';
import { nameField, wordField } from './fields.ts';
import { operation } from './operation.ts';

export const explainPolicy = operation({
  id: 'policy.explain',
  method: 'GET',
  path: '/beamway/v1/policy/explanation',
  summary: 'Would this token be allowed to do this there, by which rules, and what would change it?',
  tag: 'policy',
  query: z.strictObject({
    as: wordField.describe('Id of a token or session'),
    action: wordField,
    project: nameField.optional().describe("Default: the token's"),
    environment: nameField.optional(),
    tier: nameField.optional(),
  }),
  response: z.strictObject({
    allowed: z.boolean(),
    policyDigest: z.string(),
    tokenState: z.string(),
    rules: z.array(z.strictObject({ rule: z.string(), detail: z.string() })),
  }),
  action: 'policy:explain',
});
