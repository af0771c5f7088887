/**
 * Where a job's runner exchanges its claim for a credential (architecture.md 3b), on the compute network. Works from leases alone, so a
 * job can start while the control plane is down. Small bodies, short time-outs, one route.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

const BODY_BYTES = 4096;

const requestSchema = z.strictObject({
  claim: z.string().min(1).max(256),
  job: z.string().min(1).max(128),
  attempt: z.int().min(1),
});
export type ClaimRequest = z.output<typeof requestSchema>;

export interface ClaimAnswer {
  readonly role: 'producer' | 'consumer';
  readonly endpoint: string;
  readonly username: string;
  readonly password: string;
  readonly delivery: 'at-most-once' | 'redeliver';
  /** Where the endpoint speaks TLS: what to verify it with, PEM. */
  readonly authority: string | null;
}

export type ClaimVerdict =
  | { readonly kind: 'granted'; readonly answer: ClaimAnswer }
  /** Not known (yet): the lease may still be on its way, so the runner tries again. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'refused'; readonly reason: string };

export interface ClaimServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Takes `at.port` again where it is free, any other where it is not or where it is 0. */
export async function openClaimServer(
  at: { readonly host: string; readonly port: number },
  exchange: (request: ClaimRequest) => ClaimVerdict,
): Promise<ClaimServer> {
  if (at.port === 0) return listen(at, exchange);
  try {
    return await listen(at, exchange);
  } catch {
    return listen({ ...at, port: 0 }, exchange);
  }
}

function listen(
  at: { readonly host: string; readonly port: number },
  exchange: (request: ClaimRequest) => ClaimVerdict,
): Promise<ClaimServer> {
  const server = createServer(
    { requestTimeout: 5000, headersTimeout: 5000, connectionsCheckingInterval: 1000 },
    (request, response) => {
      answer(request, response, exchange).catch(() => response.destroy());
    },
  );
  server.maxConnections = 1024;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.host, () => {
      const { port, family } = server.address() as AddressInfo;
      resolve({
        url: `http://${family === 'IPv6' ? `[${at.host}]` : at.host}:${port}/claim`,
        close: () => closeServer(server),
      });
    });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  exchange: (request: ClaimRequest) => ClaimVerdict,
): Promise<void> {
  if (request.method !== 'POST' || request.url !== '/claim')
    return reply(response, 404, { detail: 'only POST /claim is served here' });
  let text = '';
  request.setEncoding('utf8');
  for await (const part of request) {
    text += part;
    if (text.length > BODY_BYTES) return reply(response, 413, { detail: `at most ${BODY_BYTES} bytes` });
  }
  const parsed = requestSchema.safeParse(jsonOrNothing(text));
  if (!parsed.success) return reply(response, 400, { detail: 'send {"claim": text, "job": text, "attempt": 1, 2, …}' });
  const verdict = exchange(parsed.data);
  switch (verdict.kind) {
    case 'granted':
      return reply(response, 200, verdict.answer);
    case 'unknown':
      return reply(response, 404, { detail: 'this claim is not known here (yet)' });
    case 'refused':
      return reply(response, 403, { detail: verdict.reason });
  }
}

function jsonOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(body));
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
