/** A problem written on a bare socket, for what never became a request of Fastify's: broken HTTP and refused upgrades. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { newId } from '../id.ts';
import { type Problem, problemDocument } from '../problems.ts';

/** Ended, then destroyed: a client that never closes its own end would keep the descriptor. */
export function endWithProblem(socket: Duplex, problem: Problem): void {
  const requestId = newId('req');
  const body = JSON.stringify(problemDocument(problem, requestId));
  const { retryAfterSeconds } = problem.extras;
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    'connection: close',
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    ...(retryAfterSeconds === undefined ? [] : [`retry-after: ${retryAfterSeconds}`]),
    ...(problem.status === 401 ? ['www-authenticate: Bearer'] : []),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
