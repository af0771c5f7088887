/**
 * HTTP in, pipeline, HTTP out: the only file that touches Fastify beside pages/serve-pages.ts. Owns the listening socket and the requests in flight. Draining
 * answers those, refuses new ones with 503, wakes long polls, and cuts connections on which no whole request comes.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { type AddressList, addressList } from '../address-list.ts';
import { newId } from '../id.ts';
import { asProblem, Problem, type ProblemDocument, problemDocument } from '../problems.ts';
import { clientAddress } from './client-address.ts';
import { OPERATIONS, type Operation, type OperationId, type ServerEvent } from './contract/index.ts';
import { eventStream } from './event-stream.ts';
import { type Answered, type Exchange, newExchange } from './exchange.ts';
import { type AppliedLimit, limitHeaders } from './limit-headers.ts';
import type { ServedRequest } from './metrics/request-metrics.ts';
import { oauthAnswer } from './oauth-answer.ts';
import { openapiText } from './openapi.ts';
import type { Page } from './pages/page.ts';
import { type PageDeps, servePages } from './pages/serve-pages.ts';
import { beforeBody, fail, type PipelineDeps, withBody } from './pipeline.ts';
import { endWithProblem } from './raw-problem.ts';
import { FORM_BYTES, FORM_TYPE, readForm } from './read-form.ts';
import { requestsInFlight } from './requests-in-flight.ts';
import type { Route, Routes } from './route.ts';
import { type OpenSockets, wantsSocket } from './sockets/open-sockets.ts';

const BODY_BYTES = 1_048_576;
/** How long a request whose body is still arriving may take once the replica drains. */
const SENDING_GRACE_MS = 1000;

export interface HttpTimeouts {
  /** For the headers of a request, from the connection's begin: a connection that says nothing is cut too. */
  readonly headersMs: number;
  /** For a whole request, its body included; and for its answer while the replica drains. */
  readonly requestMs: number;
  /** How often both are looked at. */
  readonly checkMs: number;
}

const TIMEOUTS: HttpTimeouts = { headersMs: 10_000, requestMs: 30_000, checkMs: 1000 };

export interface HttpDeps extends PipelineDeps {
  /** Proxies (CIDRs that passed `isCidr`) whose X-Forwarded-For is believed; absent or empty: none. */
  readonly trustedProxies?: readonly string[];
  /** Shorter ones for tests. */
  readonly timeouts?: HttpTimeouts;
  /** Told of every request to an operation once it is over. */
  readonly served?: (request: ServedRequest) => void;
  /** WebSockets; absent: nobody gets one. */
  readonly sockets?: OpenSockets;
  /** The server-rendered pages, and what they need; absent: none. */
  readonly pages?: { readonly deps: PageDeps; readonly list: readonly Page[] };
}

export interface HttpServer {
  /** Resolves to the URL that clients use. */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>;
  /** Answers what is in flight, then closes. */
  close(): Promise<void>;
}

export function httpServer(deps: HttpDeps, routes: Routes, logger: FastifyBaseLogger): HttpServer {
  const { headersMs, requestMs, checkMs } = deps.timeouts ?? TIMEOUTS;
  const draining = new AbortController();
  const proxies = trustedList(deps.trustedProxies);
  const { sockets } = deps;
  const addressOf = (request: Pick<IncomingMessage, 'socket' | 'headers'>): string =>
    clientAddress(request.socket.remoteAddress ?? '', headerText(request.headers['x-forwarded-for']), proxies);
  const inFlight = requestsInFlight(deps.clock);
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES,
    requestTimeout: requestMs,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    http: {
      headersTimeout: headersMs,
      connectionsCheckingInterval: checkMs,
      shouldUpgradeCallback: (request) => sockets !== undefined && wantsSocket(request),
    },
    routerOptions: { ignoreTrailingSlash: false, maxParamLength: 200 },
    clientErrorHandler: answerBroken,
    frameworkErrors(error, request, reply) {
      // No hook has run: nobody has said yet where this comes from.
      request.clientAddress = addressOf(request);
      void limitedByAddress(deps, { request, reply }, () =>
        sendProblem(reply, new Problem('malformed-request', error.message)),
      );
    },
  });
  if (sockets !== undefined)
    app.server.on('upgrade', (request, socket, head) =>
      sockets.upgrade(request, socket, { head, address: addressOf(request) }),
    );
  // Fastify reads text/plain too; a body of ours is JSON or refused.
  app.removeContentTypeParser('text/plain');
  const exchanges = new WeakMap<FastifyRequest, Exchange>();
  const handling = new WeakSet<Exchange>();
  app.decorateRequest('clientAddress', '');
  app.addHook('onRequest', (request, _reply, done) => {
    request.clientAddress = addressOf(request);
    done();
  });

  const send = (reply: FastifyReply, exchange: Exchange, answer: Answered): FastifyReply => {
    reply.code(answer.status).header('x-request-id', exchange.requestId);
    if (answer.replayed === true) reply.header('idempotency-replayed', 'true');
    if (exchange.retryAfterSeconds !== undefined) reply.header('retry-after', exchange.retryAfterSeconds);
    for (const [name, value] of limitHeaders(exchange.limited)) reply.header(name, value);
    if (answer.status === 401) reply.header('www-authenticate', 'Bearer');
    if (draining.signal.aborted) reply.header('connection', 'close');
    const { native, cacheSeconds, events, text } = exchange.operation;
    if (events && answer.status < 400) return reply.headers(EVENT_HEADERS).send(eventsOf(deps, exchange, answer));
    if (native === 'oauth') reply.header('cache-control', 'no-store').header('pragma', 'no-cache');
    else if (cacheSeconds > 0 && answer.status < 400) reply.header('cache-control', `public, max-age=${cacheSeconds}`);
    if (native === 'oauth' && answer.status >= 400)
      return reply.type('application/json').send(JSON.stringify(oauthAnswer(answer.body as ProblemDocument)));
    if (text !== '' && answer.status < 400) return reply.type(text).send(answer.body);
    const type = answer.status >= 400 ? 'application/problem+json' : 'application/json';
    return reply.type(type).send(JSON.stringify(answer.body));
  };

  const serve = (to: FastifyInstance, id: string, operation: Operation): void => {
    const route = routes[id as OperationId] as unknown as Route;
    to.route({
      method: operation.method,
      url: operation.path.replaceAll(/\{(\w+)\}/g, ':$1'),
      onRequest: async (request, reply) => {
        const exchange = newExchange({
          operation,
          route,
          remoteAddress: request.clientAddress,
          authorization: request.headers.authorization,
          idempotencyHeader: headerText(request.headers['idempotency-key']),
          lastEventId: headerText(request.headers['last-event-id']),
          signal: operation.longPoll ? goneOr(draining.signal, reply) : draining.signal,
        });
        exchanges.set(request, exchange);
        inFlight.begin(request);
        const began = deps.clock.monotonic();
        reply.raw.once('close', () => {
          inFlight.end(request);
          exchange.gone = true;
          deps.served?.({
            operation: operation.id,
            status: reply.raw.statusCode,
            gone: !reply.raw.writableFinished,
            seconds: (deps.clock.monotonic() - began) / 1000,
            waits: operation.longPoll || operation.events,
          });
          // Who goes away while his request is being handled keeps the slot until that is done: it is still work.
          if (!handling.has(exchange)) exchange.slot?.leave();
        });
        if (draining.signal.aborted)
          throw new Problem('draining', 'This replica is shutting down.', { retryAfterSeconds: 1 });
        await beforeBody(deps, exchange);
      },
      handler: async (request, reply) => {
        inFlight.received(request);
        const exchange = exchanges.get(request);
        if (exchange === undefined) throw new Error('a request reached its handler without an exchange');
        Object.assign(exchange.raw, { params: request.params, query: request.query, body: request.body });
        handling.add(exchange);
        const answer = await withBody(deps, exchange);
        handling.delete(exchange);
        if (exchange.gone) exchange.slot?.leave();
        return send(reply, exchange, answer);
      },
    });
  };
  const operations: readonly (readonly [string, Operation])[] = Object.entries(OPERATIONS);
  for (const [id, operation] of operations) if (!operation.form) serve(app, id, operation);
  // A scope of their own: nobody else reads forms, and these read nothing else.
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      FORM_TYPE,
      { parseAs: 'string', bodyLimit: FORM_BYTES },
      async (_: unknown, body: string) => readForm(body),
    );
    for (const [id, operation] of operations) if (operation.form) serve(scope, id, operation);
  });
  const { pages } = deps;
  if (pages !== undefined)
    app.register(async (scope) => {
      scope.addHook('onRequest', async (request, reply) => {
        inFlight.begin(request);
        reply.raw.once('close', () => inFlight.end(request));
        if (draining.signal.aborted)
          throw new Problem('draining', 'This replica is shutting down.', { retryAfterSeconds: 1 });
      });
      scope.addHook('preHandler', async (request) => inFlight.received(request));
      servePages(scope, pages.deps, pages.list);
    });
  app.get('/beamway/v1/openapi.json', (request, reply) =>
    limitedByAddress(deps, { request, reply }, () => reply.type('application/json').send(openapiText())),
  );

  app.setErrorHandler(async (error, request, reply) => {
    const exchange = exchanges.get(request);
    const problem = fromFastify(error, exchange?.operation);
    if (exchange !== undefined) return send(reply, exchange, await fail(deps, exchange, problem));
    return sendProblem(reply, asProblem(problem));
  });
  app.setNotFoundHandler((request, reply) =>
    limitedByAddress(deps, { request, reply }, () => unrouted(app, request, reply)),
  );

  return {
    // By name Fastify would open a second listener beside ours, which draining does not see.
    listen: ({ host, port }) => app.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port }),
    async close() {
      draining.abort();
      const closed = new Promise<void>((resolve) => app.server.close(() => resolve()));
      await Promise.all([sockets?.drain(), inFlight.drained({ sendingMs: SENDING_GRACE_MS, answeringMs: requestMs })]);
      app.server.closeAllConnections();
      await closed;
      await app.close();
    },
  };
}

/** `x-accel-buffering`: a proxy that collects an answer before it passes it on would make a stream of events a long wait. */
const EVENT_HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };

function eventsOf(deps: PipelineDeps, exchange: Exchange, { body }: Answered): Readable {
  const { clock, log } = deps;
  return eventStream(body as AsyncIterable<ServerEvent>, {
    clock,
    log,
    check: exchange.standing,
    signal: exchange.signal,
  });
}

/** Fastify's own failures while it reads a request, as ours. */
function fromFastify(error: unknown, operation?: Operation): unknown {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new Problem(
      'body-too-large',
      `The body is larger than ${operation?.form === true ? FORM_BYTES : BODY_BYTES} bytes.`,
    );
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new Problem(
      'unsupported-media-type',
      `The body is not ${operation?.form === true ? FORM_TYPE : 'application/json'}.`,
    );
  if (code.startsWith('FST_ERR_CTP_') || error instanceof SyntaxError) {
    return new Problem('malformed-body', error instanceof Error ? error.message : 'The body could not be read.');
  }
  return error;
}

function unrouted(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const [path = ''] = request.url.split('?');
  const others = (['GET', 'POST', 'DELETE'] as const).filter(
    (method) => app.findRoute({ method, url: path }) !== null || matches(method, path),
  );
  const problem =
    others.length > 0
      ? new Problem('method-not-allowed', `${request.method} is not served at ${path}.`)
      : new Problem('no-such-route', `Nothing is served at ${path}.`);
  if (others.length > 0) reply.header('allow', others.join(', '));
  return sendProblem(reply, problem);
}

/** For what is no operation: answered without a caller, so by address alone. */
function limitedByAddress(
  deps: PipelineDeps,
  { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  answer: () => FastifyReply,
): FastifyReply {
  const limited: AppliedLimit[] = [];
  try {
    deps.limits.address(request.clientAddress, limited);
  } catch (thrown) {
    reply.headers(Object.fromEntries(limitHeaders(limited)));
    return sendProblem(reply, asProblem(thrown));
  }
  reply.headers(Object.fromEntries(limitHeaders(limited)));
  return answer();
}

function trustedList(cidrs: readonly string[] = []): AddressList | undefined {
  return cidrs.length === 0 ? undefined : addressList(cidrs);
}

/** A problem of a request that never became an exchange. */
function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const requestId = newId('req');
  const { retryAfterSeconds } = problem.extras;
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
  return reply
    .code(problem.status)
    .header('x-request-id', requestId)
    .type('application/problem+json')
    .send(JSON.stringify(problemDocument(problem, requestId)));
}

/** What came is no HTTP request, or did not come whole in time: answered where the client still listens, then the connection is closed. */
function answerBroken(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  endWithProblem(socket, brokenProblem(error));
}

function brokenProblem(error: Error & { readonly code?: string }): Problem {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new Problem('request-timeout', 'The request did not arrive whole in time.');
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return new Problem('headers-too-large', 'The headers are larger than 16 KiB.');
  return new Problem('malformed-request', 'This is no HTTP/1.1 request.');
}

function matches(method: string, path: string): boolean {
  return Object.values(OPERATIONS).some(
    (o) => o.method === method && new RegExp(`^${o.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path),
  );
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}

/** Aborted when the client closes its end, or the replica drains. AbortSignal.any() would keep a trace of every request for as long as we live. */
function goneOr(draining: AbortSignal, reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const abort = (): void => {
    draining.removeEventListener('abort', abort);
    controller.abort();
  };
  draining.addEventListener('abort', abort, { once: true });
  reply.raw.once('close', abort);
  return controller.signal;
}
