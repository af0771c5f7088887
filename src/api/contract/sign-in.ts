/**
 * Signing in from the command line (RFC 8628). The fields have the RFC's names; requests are JSON as everywhere here, and its errors
 * (section 3.5) are problems: `authorization-pending`, `slow-down`, `login-denied`, `login-expired`.
 */
import { z } from 'zod';
import { timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

export const startDeviceLogin = operation({
  id: 'login.device',
  method: 'POST',
  path: '/beamway/v1/login/device',
  summary: 'Begin a sign-in that a person confirms in a browser',
  tag: 'sign-in',
  body: z.strictObject({
    step_up: z.boolean().default(false).describe('Ask for a second factor that is shown from now on'),
  }),
  response: z.strictObject({
    device_code: z.string().describe('For login.poll; a secret'),
    user_code: z.string().describe('For the person: XXXX-XXXX'),
    verification_uri: z.string(),
    verification_uri_complete: z.string(),
    expires_in: z.int().describe('Seconds'),
    interval: z.int().describe('Seconds to wait between two polls'),
  }),
  action: 'none',
});

export const pollDeviceLogin = operation({
  id: 'login.poll',
  method: 'POST',
  path: '/beamway/v1/login/token',
  summary: 'Ask whether the person has confirmed; the session is answered once',
  tag: 'sign-in',
  body: z.strictObject({ device_code: wordField }),
  response: z.strictObject({
    access_token: z.string().describe('The session itself. Shown once.'),
    token_type: z.literal('Bearer'),
    expires_in: z.int().describe('Seconds'),
    id: z.string().describe('Of the session'),
    subject: z.string(),
    roles: z.array(z.string()),
    expiresAt: timeField,
  }),
  action: 'none',
  shownOnce: true,
});
