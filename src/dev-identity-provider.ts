/**
 * The identity provider of `beamway up --dev`: a real OpenID provider (oidc-provider) in this process, on a loopback port of its own, with the
 * accounts of facility/sign-in.yaml. Passwords, keys and everything it remembers are new at each start and in memory only. The library is
 * loaded at the first request, so that a start does not pay for it.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Provider as OidcProvider } from 'oidc-provider';
import { document, type Html, html, STYLESHEET } from './api/index.ts';
import { memoryAdapter } from './dev-identity-memory.ts';
import { randomText } from './id.ts';
import { callbackPath, DEV_PROVIDER, type DevAccount, type Provider } from './identity/index.ts';

/** 80 random bits. */
const PASSWORD_CHARACTERS = 16;
const FORM_BYTES = 4096;
const CLIENT_ID = 'beamway';

export interface DevLogin {
  readonly subject: string;
  readonly password: string;
  readonly roles: readonly string[];
  readonly projects: readonly string[];
}

export interface DevIdentityProvider {
  /** As the facility would list it. */
  readonly provider: Provider;
  readonly logins: readonly DevLogin[];
  /** Serves from here on; `origin` is that of our own pages. Until then every request is answered 503. */
  serve(origin: string): void;
  stop(): Promise<void>;
}

interface Accounts {
  readonly byName: ReadonlyMap<string, DevAccount>;
  check(subject: string, password: string): boolean;
}

export async function startDevIdentityProvider(list: readonly DevAccount[]): Promise<DevIdentityProvider> {
  const logins = list.map((account) => ({
    subject: account.subject,
    password: randomText(PASSWORD_CHARACTERS),
    roles: account.roles,
    projects: account.projects,
  }));
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const digests = new Map(logins.map((l) => [l.subject, digest(l.password)]));
  const accounts: Accounts = {
    byName: new Map(list.map((a) => [a.subject, a])),
    check: (subject, password) =>
      timingSafeEqual(digests.get(subject) ?? randomBytes(32), digest(password)) && digests.has(subject),
  };
  let origin: string | undefined;
  let handler: Promise<RequestListener> | undefined;
  const server = createServer((request, response) => {
    if (origin === undefined) return void response.writeHead(503).end();
    handler ??= openProvider({ issuer, origin, accounts });
    handler.then((handle) => handle(request, response)).catch(() => response.writeHead(500).end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // By address, where our pages have a name: so the browser gives neither the other's cookies.
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    provider: {
      name: DEV_PROVIDER,
      title: 'a development account',
      issuer,
      clientId: CLIENT_ID,
      scopes: ['openid', 'profile'],
      subject: { claim: 'sub', prefix: '' },
      roles: {
        claim: 'roles',
        values: Object.fromEntries([...new Set(list.flatMap((a) => a.roles))].map((r) => [r, [r]])),
      },
    },
    logins,
    serve(pages) {
      origin = pages;
    },
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function openProvider(of: {
  readonly issuer: string;
  readonly origin: string;
  readonly accounts: Accounts;
}): Promise<RequestListener> {
  const { Provider } = await import('oidc-provider');
  const { exportJWK, generateKeyPair } = await import('jose');
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const { byName } = of.accounts;
  const provider = new Provider(of.issuer, {
    adapter: memoryAdapter(),
    clients: [
      {
        client_id: CLIENT_ID,
        client_name: 'Beamway',
        redirect_uris: [of.origin + callbackPath(DEV_PROVIDER)],
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig' }] },
    cookies: { keys: [randomText(52)] },
    claims: { openid: ['sub', 'roles'], profile: ['name'] },
    // Sixty seconds from signing in on, so that the next sign-in may be somebody else's: trying out roles is what this is for.
    ttl: { Interaction: 600, Session: 60, Grant: 600, AuthorizationCode: 60, AccessToken: 60, IdToken: 300 },
    clientBasedCORS: () => false,
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: false } },
    interactions: { url: (_context, interaction) => `/sign-in/${interaction.uid}` },
    findAccount: (_context, id) => {
      const account = byName.get(id);
      if (account === undefined) return undefined;
      return { accountId: id, claims: () => ({ sub: id, name: account.name, roles: [...account.roles] }) };
    },
    // Beamway asks for nothing but who somebody is: there is nothing to consent to.
    async loadExistingGrant(context) {
      const { client, session } = context.oidc;
      if (client === undefined || session?.accountId === undefined) return undefined;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
    renderError(context, out) {
      context.type = 'html';
      context.body = document(
        'The sign-in cannot go on',
        html`<p class="lead">${out.error}</p><p>${out.error_description ?? ''}</p>`,
      ).html;
    },
  });
  const rest = provider.callback();
  return (request, response) => {
    const path = new URL(request.url ?? '/', of.issuer).pathname;
    if (path === '/beamway/pages.css') return void sendText(response, 'text/css; charset=utf-8', STYLESHEET);
    if (!path.startsWith('/sign-in/')) return void rest(request, response);
    signIn(provider, of, { request, response }).catch(() => {
      if (!response.headersSent) sendPage(response, { status: 400, body: expired(), origin: of.origin });
    });
  };
}

/** The one page: name and password. The library binds it to the browser by a cookie of this path. */
async function signIn(
  provider: OidcProvider,
  of: { readonly origin: string; readonly accounts: Accounts },
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  await provider.interactionDetails(request, response); // throws where this browser has begun none
  if (request.method !== 'POST')
    return sendPage(response, { status: 200, body: form(of.accounts, ''), origin: of.origin });
  const fields = new URLSearchParams(await readForm(request));
  const subject = fields.get('subject') ?? '';
  if (!of.accounts.check(subject, fields.get('password') ?? ''))
    return sendPage(response, { status: 401, body: form(of.accounts, subject, true), origin: of.origin });
  await provider.interactionFinished(request, response, { login: { accountId: subject } });
}

function form(accounts: Accounts, subject: string, wrong = false): Html {
  const names = [...accounts.byName.values()].map(
    (a) => html`<li><code>${a.subject}</code>: ${a.name}, ${a.roles.join(', ')}</li>`,
  );
  const error = wrong
    ? html`<div class="error" role="alert" id="why"><p>That name and password do not fit together.</p></div>`
    : html``;
  const described = html` aria-invalid="true" aria-describedby="why"`;
  return document(
    'Development account',
    html`<p class="lead">This stands in for your site’s identity provider while you try Beamway out.</p>
${error}
<form method="post">
<label for="subject">Name</label>
<input type="text" id="subject" name="subject" value="${subject}" required autocomplete="username" autocapitalize="none" spellcheck="false"${wrong ? described : html` autofocus`}>
<label for="password">Password</label>
<input type="password" id="password" name="password" required autocomplete="current-password"${wrong ? html`${described} autofocus` : html``}>
<div class="actions"><button>Sign in</button></div>
</form>
<h2>Accounts</h2>
<ul>${names}</ul>
<p class="quiet">They stand in <code>sign-in.yaml</code> of the facility folder. Their passwords are new at each start and stand in the line that <code>beamway up --dev</code> printed, under <code>devAccounts</code>.</p>`,
  );
}

function expired(): Html {
  return document(
    'This sign-in is no longer under way',
    html`<p class="lead">It was begun in another browser, or too long ago.</p><p>Go back to Beamway and sign in again.</p>`,
  );
}

function sendPage(
  response: ServerResponse,
  page: { readonly status: number; readonly body: Html; readonly origin: string },
): void {
  response.writeHead(page.status, {
    'content-type': 'text/html; charset=utf-8',
    // Browsers hold the redirects that follow a form to this as well, and the last one leads to our own pages.
    'content-security-policy': `default-src 'none'; style-src 'self'; form-action 'self' ${page.origin}; base-uri 'none'; frame-ancestors 'none'`,
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  });
  response.end(page.body.html);
}

function sendText(response: ServerResponse, type: string, text: string): void {
  response.writeHead(200, { 'content-type': type, 'x-content-type-options': 'nosniff' });
  response.end(text);
}

async function readForm(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > FORM_BYTES) throw new Error('the form is too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
