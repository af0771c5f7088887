/** Operations on the facility's lockdown. */
import { z } from 'zod';
import { textField, timeField } from './fields.ts';
import { operation } from './operation.ts';

const PATH = '/beamway/v1/lockdown';
const reason = z.strictObject({ reason: textField(500).min(3).describe('For the audit log and whoever is refused') });

const lockdownSchema = z.strictObject({
  inForce: z.boolean(),
  since: timeField.nullable(),
  reason: z.string().nullable(),
  liftedAt: timeField.nullable().describe('Of the last one'),
  pendingNodes: z
    .array(z.string())
    .describe(
      'For staff: data streaming nodes that are not linked or have not applied it yet; their paths end with the offline lifetime',
    ),
});

export const showLockdown = operation({
  id: 'lockdown.show',
  method: 'GET',
  path: PATH,
  summary: 'Is the facility locked down, since when and why',
  tag: 'facility',
  response: lockdownSchema,
  action: 'self:read',
});

export const setLockdown = operation({
  id: 'lockdown.set',
  method: 'POST',
  path: PATH,
  summary: 'Lock the facility down: nobody mints, every path from outside is shut; jobs go on',
  tag: 'facility',
  body: reason,
  response: lockdownSchema,
  action: 'lockdown:set',
  audit: 'mutation',
  auditFields: ['reason'],
});

export const liftLockdown = operation({
  id: 'lockdown.lift',
  method: 'DELETE',
  path: PATH,
  summary: 'Lift the lockdown',
  tag: 'facility',
  query: reason,
  response: lockdownSchema,
  action: 'lockdown:set',
  audit: 'mutation',
});
