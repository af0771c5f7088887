/**
 * What other parts and other facilities ask of bearers: OAuth 2.0 metadata (RFC 8414), keys (RFC 7517), introspection (RFC 7662), token exchange
 * (RFC 8693); and our own: introspection in full, hop tokens, the signing keys.
 */
import { z } from 'zod';
import { textField, timeField } from './fields.ts';
import { operation } from './operation.ts';
import { tokenSchema } from './tokens.ts';

/** Of the key set; whoever verifies asks again after that. */
const KEY_SET_SECONDS = 300;
const LONGEST_TOKEN = 16_384;
const tokenField = z.string().min(1).max(LONGEST_TOKEN);

export const showMetadata = operation({
  id: 'oauth.metadata',
  method: 'GET',
  path: '/.well-known/oauth-authorization-server',
  summary: 'OAuth 2.0 authorization server metadata (RFC 8414)',
  tag: 'oauth',
  response: z.strictObject({
    issuer: z.string(),
    token_endpoint: z.string(),
    introspection_endpoint: z.string(),
    jwks_uri: z.string(),
    service_documentation: z.string(),
    scopes_supported: z.array(z.string()),
    response_types_supported: z.array(z.string()).describe('None: there is no authorization endpoint'),
    grant_types_supported: z.array(z.string()),
    token_endpoint_auth_methods_supported: z.array(z.string()),
    introspection_endpoint_auth_methods_supported: z.array(z.string()),
  }),
  action: 'none',
  cacheSeconds: KEY_SET_SECONDS,
});

export const showKeySet = operation({
  id: 'oauth.keys',
  method: 'GET',
  path: '/.well-known/jwks.json',
  summary: 'The public keys that verify hop tokens (RFC 7517)',
  tag: 'oauth',
  response: z.strictObject({
    keys: z.array(
      z.strictObject({
        kty: z.literal('OKP'),
        crv: z.literal('Ed25519'),
        x: z.string(),
        kid: z.string(),
        alg: z.literal('Ed25519'),
        use: z.literal('sig'),
      }),
    ),
  }),
  action: 'none',
  cacheSeconds: KEY_SET_SECONDS,
});

const kindField = z.enum(['token', 'session', 'node', 'hop-token']);

export const introspectOauth = operation({
  id: 'oauth.introspect',
  method: 'POST',
  path: '/oauth/introspect',
  summary: 'Is this token active (RFC 7662)? Whoever may not see it is told that it is not',
  tag: 'oauth',
  // RFC 6749 section 3.2: what is not known is ignored.
  body: z.object({ token: tokenField, token_type_hint: textField(100).optional() }),
  form: true,
  native: 'oauth',
  response: z.strictObject({
    active: z.boolean(),
    scope: z.string().optional(),
    client_id: z.string().optional().describe('The project'),
    username: z.string().optional().describe('The person who answers for it'),
    token_type: z.literal('Bearer').optional(),
    exp: z.int().optional(),
    iat: z.int().optional(),
    nbf: z.int().optional(),
    sub: z.string().optional(),
    aud: z.string().optional(),
    iss: z.string().optional(),
    jti: z.string().optional().describe('The id of the bearer; of a hop token, its own'),
    kind: kindField.optional(),
    project: z.string().optional(),
    enclave: z.enum(['open', 'moderate']).optional(),
    environments: z.array(z.string()).optional(),
    purpose: z.string().optional(),
    classification: z.string().optional(),
    act: z.strictObject({ sub: z.string() }).optional().describe('Of a hop token: the token it stands for'),
  }),
  action: 'self:read',
});

export const exchangeToken = operation({
  id: 'oauth.token',
  method: 'POST',
  path: '/oauth/token',
  summary: 'Exchange an identity of a trusted issuer, or a token of ours, for a project access token (RFC 8693)',
  tag: 'oauth',
  body: z.object({
    grant_type: textField(200).describe('urn:ietf:params:oauth:grant-type:token-exchange'),
    subject_token: tokenField,
    subject_token_type: textField(200).describe('urn:ietf:params:oauth:token-type: jwt, id_token or access_token'),
    requested_token_type: textField(200).optional().describe('urn:ietf:params:oauth:token-type:access_token'),
    actor_token: tokenField.optional().describe('Refused: not served here'),
    audience: textField(200).optional().describe('The project'),
    resource: textField(400).optional().describe('urn:beamway:environment:NAME, several names with commas'),
    scope: textField(1000).optional().describe('Separated by spaces; default: all that is open'),
    lifetime_seconds: z.coerce
      .number()
      .int()
      .min(1)
      .max(86_400)
      .optional()
      .describe('An extension; default: the longest'),
  }),
  form: true,
  native: 'oauth',
  response: z.strictObject({
    access_token: z.string().describe('The bearer itself. Shown once.'),
    issued_token_type: z.literal('urn:ietf:params:oauth:token-type:access_token'),
    token_type: z.literal('Bearer'),
    expires_in: z.int().describe('Seconds'),
    scope: z.string(),
    id: z.string().describe('Of the token, for showing and revoking it'),
    project: z.string(),
    environments: z.array(z.string()),
  }),
  action: 'none',
  limitClass: 'mint',
  shownOnce: true,
});

const hopSchema = z.strictObject({
  id: z.string(),
  issuer: z.string(),
  audience: z.string(),
  scopes: z.array(z.string()),
  issuedAt: timeField,
  expiresAt: timeField,
});

export const introspectToken = operation({
  id: 'token.introspect',
  method: 'POST',
  path: '/beamway/v1/tokens/introspection',
  summary: 'Whose is this text, and is it active? All that is known of it',
  tag: 'tokens',
  body: z.strictObject({ token: tokenField }),
  response: z.strictObject({
    active: z.boolean(),
    token: tokenSchema.nullable().describe('The bearer, or that for which a hop token stands; null: none of ours'),
    hop: hopSchema.nullable(),
  }),
  action: 'token:introspect',
});

export const mintHopToken = operation({
  id: 'self.hop-token',
  method: 'POST',
  path: '/beamway/v1/self/hop-tokens',
  summary: 'A JWT of at most five minutes that stands for the token of this request at one service',
  tag: 'tokens',
  body: z.strictObject({
    audience: textField(200).min(1).describe('One of the audiences of facility/federation.yaml'),
    lifetimeSeconds: z.int().min(1).max(300).optional().describe('Default 60'),
    scopes: z.array(z.string()).min(1).max(32).optional().describe("Of the token's own; default: all"),
  }),
  success: 201,
  response: z.strictObject({
    id: z.string(),
    value: z.string().describe('The JWT itself'),
    audience: z.string(),
    scopes: z.array(z.string()),
    expiresAt: timeField,
  }),
  action: 'self:hop-token',
  audit: 'mutation',
  auditFields: ['audience', 'lifetimeSeconds', 'scopes'],
  shownOnce: true,
});

const keysSchema = z.strictObject({
  keys: z.array(
    z.strictObject({
      id: z.string(),
      state: z.enum(['published', 'signing', 'verifying']),
      createdAt: timeField,
      signsFrom: timeField,
      verifiesUntil: timeField.nullable().describe('Then it is removed; null: no successor yet'),
    }),
  ),
});

export const listKeys = operation({
  id: 'key.list',
  method: 'GET',
  path: '/beamway/v1/keys',
  summary: 'The signing keys and what each is for now',
  tag: 'keys',
  response: keysSchema,
  action: 'key:rotate',
});

export const rotateKey = operation({
  id: 'key.rotate',
  method: 'POST',
  path: '/beamway/v1/keys/rotation',
  summary: 'Publish the next signing key; it signs ten minutes later',
  tag: 'keys',
  body: z.strictObject({
    endNow: z
      .boolean()
      .default(false)
      .describe('A key is known to somebody else: all others end now, with what they signed'),
  }),
  response: keysSchema,
  action: 'key:rotate',
  audit: 'mutation',
  auditFields: ['endNow'],
});
