/**
 * HTTP in, pipeline, HTTP out: the only file that touches Fastify. Owns the listening socket and the requests in flight. Draining
 * answers those, refuses new ones with 503, wakes long polls, and cuts connections on which no whole request comes.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { newId } from '../id.ts';
import { asProblem, Problem, problemDocument } from '../problems.ts';
import { OPERATIONS, type OperationId } from './contract/index.ts';
import { type Answered, type Exchange, newExchange } from './exchange.ts';
import { openapiText } from './openapi.ts';
import { beforeBody, fail, type PipelineDeps, withBody } from './pipeline.ts';
import { requestsInFlight } from './requests-in-flight.ts';
import type { Route, Routes } from './route.ts';

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
  /** Shorter ones for tests. */
  readonly timeouts?: HttpTimeouts;
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
  const inFlight = requestsInFlight(deps.clock);
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES,
    requestTimeout: requestMs,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    http: { headersTimeout: headersMs, connectionsCheckingInterval: checkMs },
    routerOptions: { ignoreTrailingSlash: false, maxParamLength: 200 },
    clientErrorHandler: answerBroken,
    frameworkErrors: (error, _request, reply) =>
      void sendProblem(reply, new Problem('malformed-request', error.message)),
  });
  // Fastify reads text/plain too; a body of ours is JSON or refused.
  app.removeContentTypeParser('text/plain');
  const exchanges = new WeakMap<FastifyRequest, Exchange>();

  const send = (reply: FastifyReply, exchange: Exchange, answer: Answered): FastifyReply => {
    reply.code(answer.status).header('x-request-id', exchange.requestId);
    if (answer.replayed === true) reply.header('idempotency-replayed', 'true');
    if (exchange.retryAfterSeconds !== undefined) reply.header('retry-after', exchange.retryAfterSeconds);
    if (answer.status === 401) reply.header('www-authenticate', 'Bearer');
    if (draining.signal.aborted) reply.header('connection', 'close');
    const type = answer.status >= 400 ? 'application/problem+json' : 'application/json';
    return reply.type(type).send(JSON.stringify(answer.body));
  };

  for (const [id, operation] of Object.entries(OPERATIONS)) {
    const route = routes[id as OperationId] as unknown as Route;
    app.route({
      method: operation.method,
      url: operation.path.replaceAll(/\{(\w+)\}/g, ':$1'),
      onRequest: async (request, reply) => {
        const exchange = newExchange({
          operation,
          route,
          remoteAddress: request.socket.remoteAddress ?? '',
          authorization: request.headers.authorization,
          idempotencyHeader: headerText(request.headers['idempotency-key']),
          signal: operation.longPoll ? goneOr(draining.signal, reply) : draining.signal,
        });
        exchanges.set(request, exchange);
        inFlight.begin(request);
        reply.raw.once('close', () => inFlight.end(request));
        if (draining.signal.aborted)
          throw new Problem('draining', 'This replica is shutting down.', { retryAfterSeconds: 1 });
        await beforeBody(deps, exchange);
      },
      handler: async (request, reply) => {
        inFlight.received(request);
        const exchange = exchanges.get(request);
        if (exchange === undefined) throw new Error('a request reached its handler without an exchange');
        Object.assign(exchange.raw, { params: request.params, query: request.query, body: request.body });
        return send(reply, exchange, await withBody(deps, exchange));
      },
    });
  }
  app.get('/beamway/v1/openapi.json', (_request, reply) => reply.type('application/json').send(openapiText()));

  app.setErrorHandler(async (error, request, reply) => {
    const exchange = exchanges.get(request);
    const problem = fromFastify(error);
    if (exchange !== undefined) return send(reply, exchange, await fail(deps, exchange, problem));
    return sendProblem(reply, asProblem(problem));
  });
  app.setNotFoundHandler((request, reply) => unrouted(app, request, reply));

  return {
    // By name Fastify would open a second listener beside ours, which draining does not see.
    listen: ({ host, port }) => app.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port }),
    async close() {
      draining.abort();
      const closed = new Promise<void>((resolve) => app.server.close(() => resolve()));
      await inFlight.drained({ sendingMs: SENDING_GRACE_MS, answeringMs: requestMs });
      app.server.closeAllConnections();
      await closed;
      await app.close();
    },
  };
}

/** Fastify's own failures while it reads a request, as ours. */
function fromFastify(error: unknown): unknown {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new Problem('body-too-large', `The body is larger than ${BODY_BYTES} bytes.`);
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new Problem('unsupported-media-type', 'The body is not application/json.');
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

/** A problem of a request that never became an exchange. */
function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const requestId = newId('req');
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
  const requestId = newId('req');
  const problem = brokenProblem(error);
  const body = JSON.stringify(problemDocument(problem, requestId));
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    'connection: close',
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
  ];
  // Ended, then destroyed: a client that never closes its own end would keep the descriptor.
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
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
