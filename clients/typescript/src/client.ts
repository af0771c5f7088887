/**
 * The TypeScript SDK: one typed `call` for every operation of the contract. Sends an Idempotency-Key with each mutation that takes one
 * and repeats it while the facility is briefly unavailable, so a call either happened once or is reported.
 */
import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import type { BodyInput, OperationId, Operations, QueryInput } from '../../../src/api/contract/index.ts';
import { ENDPOINTS, SOCKET_PROTOCOLS } from './endpoints.ts';
import { type ReceivedEvent, readEvents } from './events.ts';

export interface ClientOptions {
  /** For example http://127.0.0.1:8080 */
  readonly url: string;
  /** A project access token or a session; a function is asked before each request. */
  readonly token?: string | (() => string | undefined);
  /** Tries in all while the answer is 503 or there is none. */
  readonly tries?: number;
}

/** What a call may carry; what its operation does not take is left out. */
export interface CallInput<I extends OperationId> {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Partial<QueryInput<Operations[I]>>;
  readonly body?: BodyInput<Operations[I]>;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

export type Result<I extends OperationId> = z.output<Operations[I]['response']>;

/** An RFC 9457 problem the facility answered with. */
export class BeamwayProblem extends Error {
  override readonly name = 'BeamwayProblem';
  readonly status: number;
  readonly code: string;
  readonly document: ProblemText;
  constructor(document: ProblemText) {
    super(document.detail);
    this.status = document.status;
    this.code = document.code;
    this.document = document;
  }
}

export interface ProblemText {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly remedy: string;
  readonly instance?: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
  readonly rules?: readonly { readonly rule: string; readonly detail: string }[];
  readonly limit?: string;
}

/** No answer at all: nobody listens there, or the connection broke. */
export class BeamwayUnreachable extends Error {
  override readonly name = 'BeamwayUnreachable';
}

export interface Client {
  /** Throws BeamwayProblem or BeamwayUnreachable. */
  call<I extends OperationId>(operation: I, input?: CallInput<I>): Promise<Result<I>>;
  /**
   * Of an operation that answers with Server-Sent Events. Ends with the answer, whyever that ended; whoever wants more calls again, with the last id. Throws BeamwayProblem,
   * or BeamwayUnreachable where there is no answer or it breaks.
   */
  events<I extends OperationId>(
    operation: I,
    input?: CallInput<I> & { readonly lastEventId?: string },
  ): AsyncGenerator<ReceivedEvent>;
  /** Opens the WebSocket that a ticket is for, at the facility that gave it. Fails as WebSockets do: by its close event. */
  socket(ticket: { readonly url: string; readonly ticket: string }): WebSocket;
}

const WAIT_MS = 300;

export function createClient(options: ClientOptions): Client {
  const tries = options.tries ?? 4;
  const prepare = (operation: OperationId, input: CallInput<OperationId>): { url: URL; request: RequestInit } => {
    const { method, path, idempotent, body: takesBody, form } = ENDPOINTS[operation];
    const url = new URL(
      path.replaceAll(/\{(\w+)\}/g, (_: string, name: string) => encodeURIComponent(input.params?.[name] ?? '')),
      options.url,
    );
    for (const [name, value] of Object.entries(input.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const token = typeof options.token === 'function' ? options.token() : options.token;
    const headers: Record<string, string> = { accept: 'application/json' };
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    if (takesBody) headers['content-type'] = form ? 'application/x-www-form-urlencoded' : 'application/json';
    if (idempotent) headers['idempotency-key'] = input.idempotencyKey ?? randomUUID();
    const request: RequestInit = { method, headers };
    if (takesBody) request.body = form ? formText(input.body) : JSON.stringify(input.body ?? {});
    if (input.signal !== undefined) request.signal = input.signal;
    return { url, request };
  };
  return {
    async call(operation, input = {}) {
      const { method, idempotent } = ENDPOINTS[operation];
      const { url, request } = prepare(operation, input as CallInput<OperationId>);
      const repeatable = method !== 'POST' || idempotent;
      for (let attempt = 1; ; attempt++) {
        const last = attempt >= tries || !repeatable;
        const answer = await ask(url, request).catch((cause: unknown) => {
          if (last || input.signal?.aborted === true) throw cause;
          return undefined;
        });
        if (answer !== undefined) {
          if (answer.ok) return (await (isText(answer) ? answer.text() : answer.json())) as Result<typeof operation>;
          const problem = await readProblem(answer);
          if (last || problem.status !== 503) throw new BeamwayProblem(problem);
        }
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS * attempt));
      }
    },
    async *events(operation, input = {}) {
      const { lastEventId, ...rest } = input;
      const { url, request } = prepare(operation, rest as CallInput<OperationId>);
      const more = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
      const headers = { ...(request.headers as Record<string, string>), accept: 'text/event-stream', ...more };
      const answer = await ask(url, { ...request, headers });
      if (!answer.ok) throw new BeamwayProblem(await readProblem(answer));
      if (answer.body === null) return;
      try {
        yield* readEvents(answer.body);
      } catch (cause) {
        if (input.signal?.aborted === true) return;
        throw new BeamwayUnreachable(`${url.origin} broke off`, { cause });
      }
    },
    socket({ url: path, ticket }) {
      const url = new URL(path, options.url);
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
      return new WebSocket(url, [SOCKET_PROTOCOLS.own, `${SOCKET_PROTOCOLS.ticket}${ticket}`]);
    },
  };
}

/** Some operations answer text, which is given as it stands. */
const isText = (answer: Response): boolean => answer.headers.get('content-type')?.startsWith('text/plain') === true;

function formText(body: unknown): string {
  const form = new URLSearchParams();
  for (const [key, value] of Object.entries(typeof body === 'object' && body !== null ? body : {}))
    if (value !== undefined) form.set(key, String(value));
  return form.toString();
}

async function ask(url: URL, request: RequestInit): Promise<Response> {
  try {
    return await fetch(url, request);
  } catch (cause) {
    const why =
      cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : String(cause);
    throw new BeamwayUnreachable(`${url.origin} does not answer: ${why}`, { cause });
  }
}

interface OauthErrorText {
  readonly error: string;
  readonly error_description?: string;
}

/** The OAuth 2.0 endpoints fail in OAuth's words (RFC 6749 section 5.2). */
function oauthProblem(status: number, { error, error_description: detail = '' }: OauthErrorText): ProblemText {
  return { status, code: error, title: error.replaceAll('_', ' '), detail, remedy: 'See the description.' };
}

async function readProblem(answer: Response): Promise<ProblemText> {
  const text = await answer.text();
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document === 'object' && document !== null) {
      if ('code' in document) return document as ProblemText;
      if ('error' in document) return oauthProblem(answer.status, document as OauthErrorText);
    }
  } catch {
    // not JSON: something between us and the facility answered
  }
  return {
    status: answer.status,
    code: 'no-problem-document',
    title: `HTTP ${answer.status}`,
    detail: text.slice(0, 300),
    remedy: 'Check that BEAMWAY_URL names a Beamway gateway.',
  };
}
