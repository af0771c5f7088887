/**
 * An OpenID provider that does as a test says: its next id token may name another audience, be signed with another key or not at all, carry another
 * nonce. Speaks discovery, JWKS and the token endpoint; the person's part (the authorization page) is the test's.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import type { TestScope } from '../../src/database/testing.ts';
import type { Provider } from '../../src/identity/index.ts';

/** What is wrong with the next id token; claims replace the right ones, undefined leaves one out. */
export interface Fault {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly signature?: 'none' | 'another key' | 'our secret' | 'another kid';
  readonly status?: number;
  readonly noIdToken?: boolean;
}

export interface FaultyProvider {
  readonly provider: Provider;
  /** Takes a code and what its id token shall say. */
  next(nonce: string, fault?: Fault): void;
  /** Verifiers that the token endpoint was sent. */
  readonly verifiers: string[];
  /** How the client showed there who it is. */
  readonly authorizations: string[];
}

export async function startFaultyProvider(
  t: TestScope,
  name: string,
  options: Partial<Provider> & { readonly signsIssuer?: boolean } = {},
): Promise<FaultyProvider> {
  const { signsIssuer = true, ...given } = options;
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const other = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), alg: 'ES256', use: 'sig', kid: 'one' };
  const verifiers: string[] = [];
  const authorizations: string[] = [];
  let pending: { readonly nonce: string; readonly fault: Fault } = { nonce: '', fault: {} };
  let issuer = '';

  const idToken = async (): Promise<string> => {
    const { nonce, fault } = pending;
    const now = Math.floor(Date.now() / 1000);
    const right = { iss: issuer, aud: 'beamway', sub: 'mallory', iat: now, exp: now + 300, nonce };
    const claims = Object.fromEntries(
      Object.entries({ ...right, ...fault.claims }).filter(([, value]) => value !== undefined),
    );
    switch (fault.signature) {
      case 'none':
        return new UnsecuredJWT(claims).encode();
      case 'our secret':
        return new SignJWT(claims)
          .setProtectedHeader({ alg: 'HS256' })
          .sign(new TextEncoder().encode('beamway'.repeat(8)));
      case 'another key':
        return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(other.privateKey);
      case 'another kid':
        return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'two' }).sign(other.privateKey);
      default:
        return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(privateKey);
    }
  };
  const answers: Readonly<Record<string, (body: string) => Promise<readonly [number, unknown]>>> = {
    '/.well-known/openid-configuration': async () => [
      200,
      {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256', 'HS256', 'none'],
        authorization_response_iss_parameter_supported: signsIssuer,
      },
    ],
    '/jwks': async () => [200, { keys: [jwk] }],
    '/token': async (body) => {
      verifiers.push(new URLSearchParams(body).get('code_verifier') ?? '');
      const { fault } = pending;
      if (fault.status !== undefined) return [fault.status, { error: 'invalid_grant' }];
      return [
        200,
        {
          access_token: 'x',
          token_type: 'Bearer',
          expires_in: 60,
          ...(fault.noIdToken ? {} : { id_token: await idToken() }),
        },
      ];
    },
  };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      authorizations.push(request.headers.authorization ?? '');
      const answer = answers[new URL(request.url ?? '/', issuer).pathname];
      if (answer === undefined) return void response.writeHead(404).end();
      void answer(body).then(([status, document]) =>
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(document)),
      );
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close').catch(() => undefined);
  });
  return {
    provider: {
      name,
      title: `The ${name} provider`,
      issuer,
      clientId: 'beamway',
      scopes: ['openid'],
      subject: { claim: 'sub', prefix: `${name}:` },
      ...given,
    },
    verifiers,
    authorizations,
    next(nonce, fault = {}) {
      pending = { nonce, fault };
    },
  };
}
