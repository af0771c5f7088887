/**
 * OAuth 2.0 endpoints, hop tokens and signing keys over HTTP. Token exchange is open to everybody, so each address may fail a bounded number of times:
 * each failure is a signature checked and a record written.
 */
import {
  ALL_SCOPES,
  type Caller,
  type ExchangeDeps,
  exchangeToken,
  type HopDeps,
  type IntrospectDeps,
  type Introspection,
  introspectToken,
  keyState,
  mintHopToken,
  type Token,
  verifiesUntil,
} from '../../identity/index.ts';
import { type Action, type Circumstances, localBuckets, type Policy, tokenResource } from '../../policy/index.ts';
import { Problem } from '../../problems.ts';
import { addressKey } from '../client-address.ts';
import type { Answer, Operations } from '../contract/index.ts';
import type { RequestLimits } from '../limits.ts';
import type { PipelineDeps } from '../pipeline.ts';
import type { Routes } from '../route.ts';
import { exchangePermits } from './exchange-permits.ts';
import { tokenView } from './token-routes.ts';

type OauthRoutes = Pick<
  Routes,
  | 'oauth.metadata'
  | 'oauth.keys'
  | 'oauth.introspect'
  | 'oauth.token'
  | 'token.introspect'
  | 'self.hop-token'
  | 'key.list'
  | 'key.rotate'
>;
type Introspected = Answer<Operations['oauth.introspect']>;
type Keys = Answer<Operations['key.list']>;

export interface OauthDeps
  extends HopDeps,
    Omit<IntrospectDeps, 'keys'>,
    Omit<ExchangeDeps, 'issuerName' | 'permitDelegation' | 'permitExchange'> {
  readonly policy: Policy;
  readonly limits: RequestLimits;
  /** Nobody gets a new bearer while this is so. */
  readonly lockedDown: () => boolean;
  readonly tokenUse: PipelineDeps['tokenUse'];
  readonly circumstances: (caller: Caller, action: Action) => Circumstances;
}

/** So many at once, then one every ten seconds. */
const FAILURES = 60;
const SECONDS_A_FAILURE = 10;
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const TYPE = 'urn:ietf:params:oauth:token-type:';
const ACCESS_TOKEN = `${TYPE}access_token`;
const ENVIRONMENT = 'urn:beamway:environment:';

export function oauthRoutes(deps: OauthDeps): OauthRoutes {
  const failures = localBuckets({ perSecond: 1 / SECONDS_A_FAILURE, burst: FAILURES }, deps.clock);
  const question = (caller: Caller, action: Action, token: Pick<Token, 'project' | 'subject'> | undefined) => ({
    caller,
    action,
    resource: tokenResource(token),
    circumstances: deps.circumstances(caller, action),
  });
  const exchange: ExchangeDeps = { ...deps, ...exchangePermits(deps), issuerName: deps.issuer };
  const keys = (): Keys => {
    const list = deps.keys.list();
    return {
      keys: list.map((key) => ({
        id: key.kid,
        state: keyState(list, key, deps.clock.now()),
        createdAt: key.createdAt.toISOString(),
        signsFrom: key.signsFrom.toISOString(),
        verifiesUntil: verifiesUntil(list, key)?.toISOString() ?? null,
      })),
    };
  };
  return {
    'oauth.metadata': { handle: () => metadata(deps.issuer()) },
    'oauth.keys': { handle: () => ({ keys: [...deps.keys.keySet().keys] }) },
    'oauth.introspect': {
      async handle({ caller, body }) {
        const mayInspect = (token: Token): boolean =>
          deps.policy.decide(question(caller, 'token:introspect', token)).allowed;
        const found = await introspectToken(deps, { caller, text: body.token, mayInspect });
        return introspected(found, deps.issuer());
      },
    },
    'oauth.token': {
      async handle({ body, remoteAddress, requestId }) {
        const address = addressKey(remoteAddress);
        // Taken before the work, given back where it succeeds: of many at once no more than these can fail.
        const waitMs = failures.take(address);
        if (waitMs > 0)
          throw new Problem(
            'rate-limited',
            `More than ${FAILURES} failed exchanges from this address, and then one every ${SECONDS_A_FAILURE} seconds.`,
            { retryAfterSeconds: Math.ceil(waitMs / 1000) },
          );
        try {
          const wish = exchangeWish(body);
          const { token, value } = await exchangeToken(exchange, { ...wish, address: remoteAddress, requestId });
          failures.giveBack(address);
          return {
            access_token: value,
            issued_token_type: ACCESS_TOKEN,
            token_type: 'Bearer',
            expires_in: Math.floor((token.expiresAt.getTime() - deps.clock.now()) / 1000),
            scope: token.scopes.join(' '),
            id: token.id,
            project: token.project ?? '',
            environments: [...token.environments],
          };
        } catch (thrown) {
          throw asExchangeProblem(thrown);
        }
      },
    },
    'token.introspect': {
      async handle({ caller, body }) {
        const found = await introspectToken(deps, { caller, text: body.token, mayInspect: () => true });
        const { active, token, hop } = found;
        return {
          active,
          token: token === undefined ? null : tokenView(token, deps.clock.now(), undefined),
          hop:
            hop === undefined
              ? null
              : {
                  id: hop.id,
                  issuer: hop.issuer,
                  audience: hop.audience,
                  scopes: [...hop.scopes],
                  issuedAt: hop.issuedAt.toISOString(),
                  expiresAt: hop.expiresAt.toISOString(),
                },
        };
      },
    },
    'self.hop-token': {
      locate: ({ caller }) => ({ resource: {}, label: `token/${caller.id}` }),
      async handle({ caller, body }) {
        const { id, value, scopes, expiresAt } = await mintHopToken(deps, { caller, ...body });
        return { id, value, audience: body.audience, scopes: [...scopes], expiresAt: expiresAt.toISOString() };
      },
    },
    'key.list': { handle: keys },
    'key.rotate': {
      locate: () => ({ resource: {}, label: 'signing-keys' }),
      async handle({ caller, body }) {
        await deps.keys.rotate({ by: caller.id, endNow: body.endNow });
        return keys();
      },
    },
  };
}

/** RFC 8414. The issuer is an origin, so the well-known path is right below it. */
function metadata(issuer: string): Answer<Operations['oauth.metadata']> {
  return {
    issuer,
    token_endpoint: `${issuer}/oauth/token`,
    introspection_endpoint: `${issuer}/oauth/introspect`,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    service_documentation: `${issuer}/beamway/v1/openapi.json`,
    scopes_supported: [...ALL_SCOPES],
    response_types_supported: [],
    grant_types_supported: [TOKEN_EXCHANGE],
    token_endpoint_auth_methods_supported: ['none'],
    introspection_endpoint_auth_methods_supported: ['Bearer'],
  };
}

function introspected({ active, token, hop }: Introspection, issuer: string): Introspected {
  if (!active || token === undefined) return { active: false };
  const { subject, project, enclave, purpose, classification } = token;
  const seconds = (at: Date): number => Math.floor(at.getTime() / 1000);
  return {
    active: true,
    scope: (hop?.scopes ?? token.scopes).join(' '),
    ...(project === null ? {} : { client_id: project, project, purpose, classification }),
    ...(enclave === null ? {} : { enclave }),
    username: subject,
    token_type: 'Bearer',
    exp: seconds(hop?.expiresAt ?? token.expiresAt),
    iat: seconds(hop?.issuedAt ?? token.createdAt),
    nbf: seconds(hop?.notBefore ?? token.notBefore),
    sub: subject,
    aud: hop?.audience ?? issuer,
    iss: issuer,
    jti: hop?.id ?? token.id,
    kind: hop === undefined ? token.kind : 'hop-token',
    environments: [...token.environments],
    ...(hop === undefined ? {} : { act: { sub: token.id } }),
  };
}

type Form = Parameters<OauthRoutes['oauth.token']['handle']>[0]['body'];

/** RFC 8693 section 2.1 in our words. Throws `unsupported-grant`, `invalid-request`, `target-refused`. */
function exchangeWish(form: Form) {
  const { grant_type, subject_token, subject_token_type, requested_token_type = ACCESS_TOKEN, resource, scope } = form;
  if (grant_type !== TOKEN_EXCHANGE) throw new Problem('unsupported-grant', `Only ${TOKEN_EXCHANGE} is served here.`);
  if (form.actor_token !== undefined) throw new Problem('invalid-request', 'actor_token is not served here.');
  if (requested_token_type !== ACCESS_TOKEN)
    throw new Problem('invalid-request', `requested_token_type: only ${ACCESS_TOKEN}.`);
  if (resource !== undefined && !resource.startsWith(ENVIRONMENT))
    throw new Problem('target-refused', `resource: ${ENVIRONMENT}NAME, several names with commas.`);
  return {
    subjectToken: subject_token,
    kind: kindOf(subject_token_type),
    project: form.audience,
    environments: resource?.slice(ENVIRONMENT.length).split(','),
    scopes: scope?.split(' ').filter((word) => word !== ''),
    lifetimeSeconds: form.lifetime_seconds,
  };
}

function kindOf(type: string): 'ours' | 'jwt' {
  if (type === ACCESS_TOKEN) return 'ours';
  if (type === `${TYPE}jwt` || type === `${TYPE}id_token`) return 'jwt';
  throw new Problem('invalid-request', `subject_token_type: ${TYPE} followed by jwt, id_token or access_token.`);
}

/** A child that would be wider than its parent is a matter of scopes or of the target, in OAuth's words; a bearer of ours that is no good is a bad subject token. */
function asExchangeProblem(thrown: unknown): unknown {
  if (!(thrown instanceof Problem)) return thrown;
  const { code, message, extras } = thrown;
  if (code.startsWith('token-')) return new Problem('identity-refused', message, extras);
  if (code !== 'invalid-request') return thrown;
  const about = (field: string): boolean => extras.errors?.some((e) => e.pointer.startsWith(`#/${field}`)) ?? false;
  if (about('scopes')) return new Problem('scope-refused', message, extras);
  return about('environments') ? new Problem('target-refused', message, extras) : thrown;
}
