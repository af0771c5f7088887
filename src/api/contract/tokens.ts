/** Operations on bearers: project access tokens and one's own. */
import { z } from 'zod';
import { idParameter, limitField, nameField, textField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

const LONGEST_LIFETIME_SECONDS = 366 * 86_400;
const LONGEST_OVERLAP_SECONDS = 86_400;

const classificationField = z.enum(['public', 'proprietary', 'controlled']);
const lifetimeField = z.int().min(1).max(LONGEST_LIFETIME_SECONDS);

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
  purpose: z.string().describe('What it was asked for; empty: not stated'),
  classification: classificationField.describe('Of the data it is for'),
  sources: z.array(z.string()).describe('CIDRs it may be used from; empty: from anywhere'),
  maxUses: z.int().nullable().describe('Requests it may authorize in its life; null: no bound; 1: a one-time token'),
  uses: z.int().describe('Of a bounded token: requests it has authorized'),
  reservedUses: z.int().describe('Of maxUses, those given to its children or to the value that replaced it'),
  renewableUntil: timeField.nullable().describe('Whoever holds it may renew it up to here'),
  replaces: z.string().nullable().describe('The token whose value this one replaced (rotation)'),
  methods: z.array(z.string()).describe('Of a session: how its person signed in'),
  factorAt: timeField.nullable().describe('Of a session: when a second factor was last shown'),
  outsidePurpose: z
    .strictObject({ action: z.string(), at: timeField, times: z.int() })
    .nullable()
    .describe('The last use outside its stated purpose, and how many there were; up to a minute late'),
  createdAt: timeField,
  createdBy: z.string(),
  notBefore: timeField,
  expiresAt: timeField,
  revokedAt: timeField.nullable(),
});

const wishes = {
  description: textField(200).optional(),
  notBefore: timeField.optional().describe('Deferred start; default: now'),
  purpose: nameField.optional().describe('A purpose of facility/token-rules.yaml; use outside it is flagged'),
  classification: classificationField.optional().describe('Of the data it is for'),
  sources: z.array(z.string().max(64)).max(64).optional().describe('CIDRs it may be used from; none: from anywhere'),
  maxUses: z.int().min(1).max(1_000_000_000).optional().describe('1: a one-time token; default: no bound'),
  renewableDays: z.number().min(0).max(3660).optional().describe('It may renew itself for so long; default: not'),
};
const WISH_FIELDS = [
  'description',
  'notBefore',
  'purpose',
  'classification',
  'sources',
  'maxUses',
  'renewableDays',
] as const;

const issuedSchema = tokenSchema.extend({ value: z.string().describe('The bearer itself. Shown once.') });

const revokedSchema = tokenSchema.extend({
  pending: z
    .array(z.strictObject({ node: z.string(), stream: z.string(), until: timeField }))
    .describe('Streams on nodes that are not linked now: whoever is connected there is cut at `until` at the latest'),
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
    lifetimeSeconds: lifetimeField,
    subject: textField(200).min(1).optional().describe('Who answers for the token; default: the caller'),
    ...wishes,
  }),
  success: 201,
  response: issuedSchema,
  action: 'token:mint',
  audit: 'mutation',
  limitClass: 'mint',
  auditFields: ['project', 'environments', 'scopes', 'lifetimeSeconds', 'subject', ...WISH_FIELDS],
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
  summary: 'Revoke a bearer and all that came from it for good, and cut the stream connections they opened',
  tag: 'tokens',
  params: idParameter,
  response: revokedSchema,
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
  summary: 'Revoke the bearer of this request and all that came from it',
  tag: 'tokens',
  response: revokedSchema,
  action: 'self:revoke',
  audit: 'mutation',
});

export const renewSelf = operation({
  id: 'self.renew',
  method: 'POST',
  path: '/beamway/v1/self/renewal',
  summary: 'Give the token of this request a later end, within its renewableUntil; the value stays',
  tag: 'tokens',
  body: z.strictObject({
    lifetimeSeconds: lifetimeField.optional().describe('From now; default: the life it was last asked for'),
  }),
  response: tokenSchema,
  action: 'self:renew',
  audit: 'mutation',
  limitClass: 'mint',
  auditFields: ['lifetimeSeconds'],
  idempotent: true,
});

export const rotateSelf = operation({
  id: 'self.rotate',
  method: 'POST',
  path: '/beamway/v1/self/rotation',
  summary: 'Give the token of this request a new value, shown once; the old one goes on for an overlap',
  tag: 'tokens',
  body: z.strictObject({
    overlapSeconds: z
      .int()
      .min(0)
      .max(LONGEST_OVERLAP_SECONDS)
      .optional()
      .describe('The old value holds for so long; default 300'),
  }),
  success: 201,
  response: issuedSchema,
  action: 'self:rotate',
  audit: 'mutation',
  limitClass: 'mint',
  auditFields: ['overlapSeconds'],
  idempotent: true,
  shownOnce: true,
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
    lifetimeSeconds: lifetimeField,
    ...wishes,
  }),
  success: 201,
  response: issuedSchema,
  action: 'token:delegate',
  audit: 'mutation',
  limitClass: 'mint',
  auditFields: ['scopes', 'environments', 'lifetimeSeconds', ...WISH_FIELDS],
  idempotent: true,
  shownOnce: true,
});

const treeSchema = z.strictObject({
  tokens: z
    .array(tokenSchema)
    .describe(
      'What a revocation takes: the token, the values it replaced or was replaced by, and all below; parents before children',
    ),
});

export const showTree = operation({
  id: 'token.tree',
  method: 'GET',
  path: '/beamway/v1/tokens/{id}/tree',
  summary: 'A token and everything that came from it',
  tag: 'tokens',
  params: idParameter,
  response: treeSchema,
  action: 'token:read',
});

export const showOwnTree = operation({
  id: 'self.tree',
  method: 'GET',
  path: '/beamway/v1/self/tree',
  summary: 'The token of this request and everything that came from it',
  tag: 'tokens',
  response: treeSchema,
  action: 'self:read',
});
