/** Operations on what exists: the facility and its environments, and whether this replica is well. */
import { z } from 'zod';
import { operation } from './operation.ts';

export const health = operation({
  id: 'health.show',
  method: 'GET',
  path: '/beamway/v1/health',
  summary: 'Is this replica well?',
  tag: 'facility',
  response: z.strictObject({ status: z.enum(['ok', 'draining']), version: z.string() }),
  action: 'none',
});

export const showFacility = operation({
  id: 'facility.show',
  method: 'GET',
  path: '/beamway/v1/facility',
  summary: 'The facility, its environments and tiers',
  tag: 'facility',
  response: z.strictObject({
    name: z.string(),
    title: z.string(),
    environments: z.array(
      z.strictObject({
        name: z.string(),
        title: z.string(),
        stage: z.string(),
        enclave: z.string(),
        cluster: z.string(),
        tiers: z.array(z.string()),
      }),
    ),
    tiers: z.array(
      z.strictObject({
        name: z.string(),
        title: z.string(),
        priority: z.int(),
        preempts: z.array(z.string()),
        preemptMode: z.string(),
        graceSeconds: z.number(),
      }),
    ),
  }),
  action: 'self:read',
});
