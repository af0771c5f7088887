/**
 * A terminal in a running job: who may, asks here, and the program has been started when the answer comes; its WebSocket is opened with the ticket at the same path of the same
 * replica. Binary frames are bytes; text frames are `terminalFrameSchema` of src/slurm/contract/link.ts.
 */
import { z } from 'zod';
import { idParameter, timeField } from './fields.ts';
import { operation } from './operation.ts';

const cellsField = z.int().min(1).max(1000);

export const openJobTerminal = operation({
  id: 'job.terminal',
  method: 'POST',
  path: '/beamway/v1/jobs/{id}/terminal',
  summary: 'Start a program with a terminal inside a running job, and get the one-time ticket of its WebSocket',
  tag: 'jobs',
  params: idParameter,
  body: z
    .strictObject({
      program: z
        .string()
        .regex(/^[^-\0][^\0]{0,4095}$/)
        .optional()
        .describe('Found on the PATH of the job’s user or absolute, no shell; absent: a login shell'),
      arguments: z.array(z.string().max(4096)).max(63).default([]).describe('Of the program; they are not audited'),
      columns: cellsField.default(80),
      rows: cellsField.default(24),
    })
    .refine((b) => b.program !== undefined || b.arguments.length === 0, 'arguments without a program'),
  response: z.strictObject({
    url: z.string().describe('Relative to the address that was asked: a ticket is known to the replica that gave it'),
    ticket: z.string().describe('256 random bits; goes into Sec-WebSocket-Protocol as beamway.ticket.<ticket>'),
    expiresAt: timeField,
  }),
  action: 'job:attach',
  audit: 'mutation',
  auditFields: ['program'],
  shownOnce: true,
});
