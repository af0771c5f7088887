/**
 * One question to slurmrestd as one user. Its HTTP status says little (500 for a wrong QoS, 200 for writes that did nothing), so the document is given back whatever the
 * status is. Owns the kept connections; bounded in time and size; follows no redirect.
 */
import { Agent, request } from 'node:http';
import { SlurmFailure } from '../contract/index.ts';

export interface RestAddress {
  readonly url?: string | undefined;
  readonly socket?: string | undefined;
}

export interface RestQuestion {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** Undefined: what needs no user. The name in the header is always the token's own. */
  readonly as?: { readonly user: string; readonly token: string };
  readonly body?: object;
}

export type AskRest = (question: RestQuestion) => Promise<unknown>;

const TIMEOUT_MS = 20_000;
const ANSWER_BYTES = 64 * 1024 * 1024;

/** SlurmFailure `unavailable`: nobody answers, or not with JSON. */
export function askRest(address: RestAddress): AskRest {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const base = address.url ?? 'http://localhost';
  return ({ method, path, as, body }) =>
    new Promise((resolve, reject) => {
      const away = (why: string): void =>
        reject(
          new SlurmFailure({
            kind: 'unavailable',
            message: `slurmrestd does not answer (${why}); ask whoever runs the cluster`,
          }),
        );
      const text = body === undefined ? undefined : JSON.stringify(body);
      const asked = request(
        new URL(path, base),
        {
          method,
          agent,
          timeout: TIMEOUT_MS,
          ...(address.socket === undefined ? {} : { socketPath: address.socket }),
          headers: {
            accept: 'application/json',
            ...(as === undefined ? {} : { 'x-slurm-user-name': as.user, 'x-slurm-user-token': as.token }),
            ...(text === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
          },
        },
        (answer) => {
          const parts: Buffer[] = [];
          let bytes = 0;
          answer.on('data', (part: Buffer) => {
            bytes += part.length;
            if (bytes > ANSWER_BYTES) answer.destroy(new Error('too long'));
            else parts.push(part);
          });
          answer.on('error', (cause) => away(cause.message));
          answer.on('end', () => {
            try {
              resolve(JSON.parse(Buffer.concat(parts).toString('utf8')));
            } catch {
              const refusedToken = answer.statusCode === 401;
              away(
                refusedToken
                  ? 'it refuses our tokens; does it run with SLURM_JWT=daemon?'
                  : `${answer.statusCode}, no JSON`,
              );
            }
          });
        },
      );
      asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
      asked.on('error', (cause) => away(cause.message));
      asked.end(text);
    });
}
