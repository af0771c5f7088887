/** The loopback address at which a node's RabbitMQs ask who may do what. Its path holds a secret that only they are told; who does not know it gets 404. Owns one server. */
import { createServer } from 'node:http';
import { same } from './answer-callback.ts';

export interface CallbackServer {
  close(): Promise<void>;
}

const MOST_BYTES = 64 * 1024;
const TOO_LONG_MS = 5000;

/** Rejects with the system's error where the port is taken. */
export async function openCallbackServer(
  at: { readonly port: number; readonly secret: string },
  answer: (path: string, fields: URLSearchParams) => string,
): Promise<CallbackServer> {
  const server = createServer({ requestTimeout: TOO_LONG_MS, headersTimeout: TOO_LONG_MS }, (request, response) => {
    const [, secret = '', path = ''] = (request.url ?? '').split('/');
    if (request.method !== 'POST' || !same(secret, at.secret)) {
      response.writeHead(404).end();
      request.resume();
      return;
    }
    const parts: Buffer[] = [];
    let bytes = 0;
    request.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes > MOST_BYTES) request.destroy();
      else parts.push(part);
    });
    request.on('end', () => {
      const said = answer(path, new URLSearchParams(Buffer.concat(parts).toString('utf8')));
      response.writeHead(200, { 'content-type': 'text/plain' }).end(said);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
