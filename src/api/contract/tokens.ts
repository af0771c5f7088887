/** Operations on bearers: project access tokens and one's own. */
import { z } from 'zod';
import { idParameter, limitField, nameField, textField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

const LONGEST_LIFETIME_SECONDS = 366 * 86_400;

export const tokenSchema = z.strictObject({
  id: z.string(),
  kind: z.enum(['token', 'session', 'node']),
  state: z.enum(['active', 'not-yet-valid', 'expired', 'revoked']),
  subject: z.string(),
  description: z.string(),
  parent: z.string().nullable().describe('The token it was delegated from'),
  depth: z.int(),
  project: z.string().nullable(),
  enclave: z.enum(['open', 'moderate']).nullable(),
  environments: z.array(z.string()),
  scopes: z.array(z.string()),
  roles: z.array(z.string()),
  createdAt: timeField,
  notBefore: timeField,
  expiresAt: timeField,
  revokedAt: timeField.nullable(),
});

export const mintToken = operation({
  id: 'token.mint',
  method: 'POST',
  path: '/beamway/v1/tokens',
  summary: 'Mint a project access token; its value is shown once',
  tag: 'tokens',
  body: z.strictObject({
    project: nameField,
    environments: z.array(nameField).min(1).max(16),
    scopes: z.array(z.string()).min(1).max(32),
    lifetimeSeconds: z.int().min(1).max(LONGEST_LIFETIME_SECONDS),
    description: textField(200).optional(),
    subject: textField(200).min(1).optional().describe('Who answers for the token; default: the caller'),
    notBefore: timeField.optional(),
  }),
  success: 201,
  response: tokenSchema.extend({ value: z.string().describe('The bearer itself. Shown once.') }),
  action: 'token:mint',
  audit: 'mutation',
  auditFields: ['project', 'environments', 'scopes', 'lifetimeSeconds', 'description', 'subject', 'notBefore'],
  idempotent: true,
  shownOnce: true,
});

export const listTokens = operation({
  id: 'token.list',
  method: 'GET',
  path: '/beamway/v1/tokens',
  summary: 'List bearers, without their values',
  tag: 'tokens',
  query: z.strictObject({ project: nameField.optional(), after: wordField.optional(), limit: limitField }),
  response: z.strictObject({ tokens: z.array(tokenSchema), next: z.string().nullable() }),
  action: 'token:read',
});

export const showToken = operation({
  id: 'token.show',
  method: 'GET',
  path: '/beamway/v1/tokens/{id}',
  summary: 'Show one bearer, without its value',
  tag: 'tokens',
  params: idParameter,
  response: tokenSchema,
  action: 'token:read',
});

export const revokeToken = operation({
  id: 'token.revoke',
  method: 'DELETE',
  path: '/beamway/v1/tokens/{id}',
  summary: 'Revoke a bearer for good and cut the stream connections it opened',
  tag: 'tokens',
  params: idParameter,
  response: tokenSchema,
  action: 'token:revoke',
  audit: 'mutation',
});

export const showSelf = operation({
  id: 'self.show',
  method: 'GET',
  path: '/beamway/v1/self',
  summary: 'What the bearer of this request is and may do',
  tag: 'tokens',
  response: tokenSchema,
  action: 'self:read',
});

export const revokeSelf = operation({
  id: 'self.revoke',
  method: 'DELETE',
  path: '/beamway/v1/self',
  summary: 'Revoke the bearer of this request',
  tag: 'tokens',
  response: tokenSchema,
  action: 'self:revoke',
  audit: 'mutation',
});

export const delegateToken = operation({
  id: 'self.delegate',
  method: 'POST',
  path: '/beamway/v1/self/children',
  summary: 'Mint a child of the token of this request, never wider than it; its value is shown once',
  tag: 'tokens',
  body: z.strictObject({
    scopes: z.array(z.string()).min(1).max(32),
    environments: z.array(nameField).min(1).max(16).optional().describe("Default: the parent's"),
    lifetimeSeconds: z.int().min(1).max(LONGEST_LIFETIME_SECONDS),
    description: textField(200).optional(),
  }),
  success: 201,
  response: tokenSchema.extend({ value: z.string().describe('The bearer itself. Shown once.') }),
  action: 'token:delegate',
  audit: 'mutation',
  auditFields: ['scopes', 'environments', 'lifetimeSeconds', 'description'],
  idempotent: true,
  shownOnce: true,
});

const treeSchema = z.strictObject({
  tokens: z.array(tokenSchema).describe('The token and all below it, parents before children'),
});

export const showTree = operation({
  id: 'token.tree',
  method: 'GET',
  path: '/beamway/v1/tokens/{id}/tree',
  summary: 'A token and everything delegated from it',
  tag: 'tokens',
  params: idParameter,
  response: treeSchema,
  action: 'token:read',
});

export const showOwnTree = operation({
  id: 'self.tree',
  method: 'GET',
  path: '/beamway/v1/self/tree',
  summary: 'The token of this request and everything delegated from it',
  tag: 'tokens',
  response: treeSchema,
  action: 'self:read',
});
