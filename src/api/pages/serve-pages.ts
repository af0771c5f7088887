/**
 * The pages' own short pipeline, in order: limit by address, read the cookies, look where the request comes from, check the CSRF token,
 * require a session, record the intent, handle, record the outcome. Registers each page on a scope of Fastify of its own, so that forms are
 * read here and nowhere else. OWASP: CSRF Prevention, Session Management; Fetch Metadata.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../clock.ts';
import { newId } from '../../id.ts';
import type { SessionCaller } from '../../identity/index.ts';
import { asProblem, Problem, problemDocument } from '../../problems.ts';
import '../client-address.ts';
import type { DenialTally } from '../denial-tally.ts';
import type { RequestLimits } from '../limits.ts';
import { BROWSER_COOKIE, csrfToken, newBrowserSecret, readCookies, SESSION_COOKIE, setCookie } from './cookies.ts';
import { type Cookie, document, html, type Page, type PageAnswer, type PageCall } from './page.ts';

/** What a browser's two cookies stand for. */
export interface BrowserBearer {
  readonly bearer: string;
  /** SHA-256 of the browser's secret. */
  readonly browser: Buffer;
  readonly address: string;
}

export interface PageDeps {
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly limits: Pick<RequestLimits, 'address'>;
  readonly denials: DenialTally;
  readonly log: { error(fields: object, text: string): void };
  /** Throws a Problem `token-*` where the cookies stand for no session, `unavailable` where that cannot be known. */
  readonly sessionOf: (of: BrowserBearer) => Promise<SessionCaller>;
  /** Scheme, host and port by which browsers know us. */
  readonly origin: () => string;
}

/**
 * By which name browsers on this machine know a server that listens at `url`: passkeys are given to `localhost` and never to an address, so
 * loopback is called that.
 */
export function pagesOrigin(url: string): string {
  const known = new URL(url);
  if (known.hostname === '127.0.0.1' || known.hostname === '[::1]') known.hostname = 'localhost';
  return known.origin;
}

export const STYLESHEET = readFileSync(new URL('pages.css', import.meta.url), 'utf8');

const BODY_BYTES = 65_536;
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  // `no-referrer` would make browsers send `Origin: null` with our own forms.
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** `scope`: a Fastify scope of the pages' own. */
export function servePages(scope: FastifyInstance, deps: PageDeps, pages: readonly Page[]): void {
  scope.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: BODY_BYTES },
    (_request, body, done) => done(null, new URLSearchParams(String(body))),
  );
  scope.addHook('onRequest', async (request) => deps.limits.address(addressOf(request)));
  scope.setErrorHandler((error, request, reply) => refuse(deps, request, reply, error));
  scope.get('/beamway/pages.css', (_request, reply) =>
    reply.headers(HEADERS).type('text/css; charset=utf-8').send(STYLESHEET),
  );
  for (const page of pages) {
    scope.route({
      method: page.method,
      url: page.path,
      bodyLimit: BODY_BYTES,
      handler: (request, reply) => answerPage(deps, page, { request, reply }),
    });
  }
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

async function answerPage(deps: PageDeps, page: Page, { request, reply }: Exchange): Promise<FastifyReply> {
  const origin = deps.origin();
  const requestId = newId('req');
  const elsewhere = page.method === 'GET' ? otherName(request, origin) : undefined;
  if (elsewhere !== undefined) return reply.headers(HEADERS).redirect(elsewhere, 302);
  const cookies = readCookies(request.headers.cookie, origin);
  const browser = cookies.browser ?? newBrowserSecret();
  const set: Cookie[] = cookies.browser === undefined ? [{ name: BROWSER_COOKIE, value: browser }] : [];
  let session: SessionCaller | undefined;
  let status = 500;
  let code: string | undefined;
  let intent = false;
  const record = (phase: 'intent' | 'outcome' | 'denied', caller: SessionCaller): Promise<void> =>
    deps.audit.append(entryOf(deps, { page, request, requestId, caller, phase, status, code }));
  try {
    session = cookies.browser === undefined ? undefined : await sessionFrom(deps, request, { ...cookies, browser });
    if (session === undefined && cookies.session !== undefined)
      set.push({ name: SESSION_COOKIE, value: '', maxAgeSeconds: 0 });
    const form = formOf(request);
    if (page.method === 'POST') {
      checkSource(request, origin);
      checkCsrf(request, { form, browser: cookies.browser });
    }
    if (page.needs === 'session' && session === undefined) {
      if (page.method === 'GET')
        return send(reply, { origin, requestId, set }, { kind: 'redirect', to: signInPath(request.url) });
      throw new Problem('token-missing', 'You are signed out. Sign in and do it again.');
    }
    const call: PageCall = {
      params: textRecord(request.params),
      query: textRecord(request.query),
      form,
      json: isJson(request) ? request.body : undefined,
      session,
      browser,
      userAgent: (request.headers['user-agent'] ?? '').slice(0, 300),
      csrf: csrfToken(browser),
      remoteAddress: addressOf(request),
      requestId,
      origin,
      now: deps.clock.now(),
    };
    if (page.audit && session !== undefined && page.method === 'POST') {
      await record('intent', session);
      intent = true;
    }
    const answer = await page.handle(call);
    status = statusOf(answer);
    await recordEnd();
    return send(reply, { origin, requestId, set }, answer);
  } catch (thrown) {
    const problem = asProblem(thrown);
    ({ status } = problem);
    ({ code } = problem);
    if (status >= 500) deps.log.error({ requestId, page: page.id, err: problem.cause ?? problem }, problem.message);
    await recordEnd().catch((cause: unknown) =>
      deps.log.error({ requestId, err: cause }, 'the outcome of a page could not be recorded'),
    );
    sayWhen(reply, problem);
    return send(reply, { origin, requestId, set }, problemAnswer(problem, { requestId, json: isJson(request) }));
  }

  async function recordEnd(): Promise<void> {
    if (session === undefined) {
      if (page.audit && status >= 400 && status < 500)
        deps.denials.count({ operation: page.id, address: addressOf(request), status });
      return;
    }
    if (intent) return record(status >= 400 && status < 500 ? 'denied' : 'outcome', session);
    if (page.audit && status >= 400) await record('denied', session);
  }
}

/** A POST that did not reach its page: the body was too large or no form; nothing of it was believed. */
function refuse(deps: PageDeps, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const requestId = newId('req');
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500;
  const problem =
    error instanceof Problem || status >= 500
      ? asProblem(error)
      : new Problem('malformed-body', 'The form could not be read.', { cause: error });
  if (problem.status >= 500) deps.log.error({ requestId, err: problem.cause ?? problem }, problem.message);
  sayWhen(reply, problem);
  return send(
    reply,
    { origin: deps.origin(), requestId, set: [] },
    problemAnswer(problem, { requestId, json: isJson(request) }),
  );
}

async function sessionFrom(
  deps: PageDeps,
  request: FastifyRequest,
  cookies: { readonly session: string | undefined; readonly browser: string },
): Promise<SessionCaller | undefined> {
  if (cookies.session === undefined) return undefined;
  try {
    return await deps.sessionOf({
      bearer: cookies.session,
      browser: createHash('sha256').update(cookies.browser).digest(),
      address: addressOf(request),
    });
  } catch (thrown) {
    // A cookie that has outlived its session is no fault: the person signs in again.
    if (thrown instanceof Problem && thrown.status === 401) return undefined;
    throw thrown;
  }
}

/** On loopback people type `localhost` or 127.0.0.1; cookies and the identity provider know one of them only. A terminator's Host is its own. */
function otherName(request: FastifyRequest, origin: string): string | undefined {
  const ours = new URL(origin);
  const { host } = request.headers;
  if (ours.protocol === 'https:' || host === undefined || host === ours.host) return undefined;
  return `${ours.origin}${request.url}`;
}

function checkSource(request: FastifyRequest, origin: string): void {
  const { origin: from, 'sec-fetch-site': site } = request.headers;
  const same = from === undefined ? site === 'same-origin' : from === origin;
  if (!same || (site !== undefined && site !== 'same-origin'))
    throw new Problem('foreign-form', 'This form was not sent from a page of this facility.');
}

function checkCsrf(
  request: FastifyRequest,
  of: { readonly form: Readonly<Record<string, string>>; readonly browser: string | undefined },
): void {
  const header = request.headers['x-csrf-token'];
  const given = Buffer.from(typeof header === 'string' ? header : (of.form['csrf'] ?? ''));
  const expected = Buffer.from(csrfToken(of.browser ?? newBrowserSecret()));
  if (given.length !== expected.length || !timingSafeEqual(given, expected))
    throw new Problem('foreign-form', 'This form is of another browser or of an earlier sign-in.');
}

function isJson(request: FastifyRequest): boolean {
  return (request.headers['content-type'] ?? '').startsWith('application/json');
}

/** Throws where a name is there twice: which one counts would be a guess. */
function formOf(request: FastifyRequest): Readonly<Record<string, string>> {
  const { body } = request;
  if (body instanceof URLSearchParams) {
    const names = [...body.keys()];
    if (new Set(names).size !== names.length)
      throw new Problem('malformed-body', 'A field of the form is there twice.');
    return Object.fromEntries(body);
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return {};
  return Object.fromEntries(Object.entries(body).filter((e): e is [string, string] => typeof e[1] === 'string'));
}

function textRecord(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).map(([name, text]) => {
      if (typeof text !== 'string') throw new Problem('malformed-request', `${name} is there twice.`);
      return [name, text];
    }),
  );
}

function signInPath(url: string): string {
  return `/beamway/sign-in?return=${encodeURIComponent(url)}`;
}

function statusOf(answer: PageAnswer): number {
  if (answer.kind === 'redirect') return 303;
  return answer.kind === 'script' ? 200 : answer.status;
}

function send(
  reply: FastifyReply,
  with_: { readonly origin: string; readonly requestId: string; readonly set: readonly Cookie[] },
  answer: PageAnswer,
): FastifyReply {
  const own = answer.kind === 'script' ? [] : (answer.cookies ?? []);
  const kept = with_.set.filter((cookie) => !own.some((other) => other.name === cookie.name));
  const cookies = answer.kind === 'script' ? [] : [...kept, ...own].map((cookie) => setCookie(cookie, with_.origin));
  reply.headers(HEADERS).header('x-request-id', with_.requestId);
  if (cookies.length > 0) reply.header('set-cookie', cookies);
  switch (answer.kind) {
    case 'page':
      return reply.code(answer.status).type('text/html; charset=utf-8').send(answer.body.html);
    case 'redirect':
      return reply.redirect(answer.to, 303);
    case 'json':
      return reply
        .code(answer.status)
        .type(answer.status >= 400 ? 'application/problem+json' : 'application/json')
        .send(JSON.stringify(answer.body));
    case 'script':
      return reply.type('text/javascript; charset=utf-8').send(answer.text);
  }
}

function sayWhen(reply: FastifyReply, problem: Problem): void {
  const { retryAfterSeconds } = problem.extras;
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
}

function problemAnswer(problem: Problem, how: { readonly requestId: string; readonly json: boolean }): PageAnswer {
  const told = problemDocument(problem, how.requestId);
  if (how.json) return { kind: 'json', status: problem.status, body: told };
  const body = html`<p class="lead">${told.detail}</p>
<p>${told.remedy}</p>
<p class="actions"><a class="button" href="/beamway/sessions">To your sign-ins</a></p>
<p class="quiet">Request <code>${how.requestId}</code>, problem <code>${told.code}</code></p>`;
  return { kind: 'page', status: problem.status, body: document(told.title, body) };
}

function entryOf(
  deps: PageDeps,
  of: {
    readonly page: Page;
    readonly request: FastifyRequest;
    readonly requestId: string;
    readonly caller: SessionCaller;
    readonly phase: 'intent' | 'outcome' | 'denied';
    readonly status: number;
    readonly code: string | undefined;
  },
) {
  const id = textRecord(of.request.params)['id'];
  return {
    at: new Date(deps.clock.now()),
    requestId: of.requestId,
    phase: of.phase,
    callerKind: of.caller.kind,
    callerId: of.caller.id,
    subject: of.caller.subject,
    project: null,
    action: of.page.id,
    resource: id === undefined ? '' : `session/${id}`,
    status: of.phase === 'intent' ? null : of.status,
    detail: { from: addressOf(of.request), ...(of.code === undefined ? {} : { code: of.code }) },
  };
}

function addressOf(request: FastifyRequest): string {
  return request.clientAddress;
}
