/**
 * A closed loop of HTTP/1.1 requests over a few kept connections, on raw sockets, so that the client costs little of the cores it shares with
 * the server. Each connection has one request under way. Counts answers; anything but 200 fails the measurement.
 */
import { connect } from 'node:net';

export interface LoopRequest {
  readonly method: 'GET' | 'DELETE';
  readonly path: string;
  readonly token?: string;
}

export interface LoopOptions {
  readonly url: string;
  /** Dealt out to the connections, each of which sends its own in turn. */
  readonly requests: readonly LoopRequest[];
  readonly connections: number;
  readonly forMs: number;
}

/** Answers a second. */
export async function requestLoop(options: LoopOptions): Promise<number> {
  const { hostname, port, host } = new URL(options.url);
  const began = performance.now();
  const counts = await Promise.all(
    Array.from({ length: options.connections }, (_, i) => {
      const own = options.requests.filter((_request, n) => n % options.connections === i);
      const requests = own.map(({ method, path, token }) => {
        const bearer = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`;
        return Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${bearer}\r\n`);
      });
      return oneConnection({ hostname, port: Number(port), requests, untilMs: began + options.forMs });
    }),
  );
  return (counts.reduce((a, b) => a + b, 0) * 1000) / (performance.now() - began);
}

function oneConnection(loop: {
  readonly hostname: string;
  readonly port: number;
  readonly requests: readonly Buffer[];
  readonly untilMs: number;
}): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: loop.hostname, port: loop.port, noDelay: true });
    let answered = 0;
    let rest: Buffer = Buffer.alloc(0);
    const ask = (): void => {
      const request = loop.requests[answered % loop.requests.length];
      if (performance.now() >= loop.untilMs || request === undefined) {
        socket.destroy();
        resolve(answered);
      } else socket.write(request);
    };
    socket.once('connect', ask);
    socket.once('error', reject);
    socket.on('data', (data: Buffer) => {
      rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
      const head = rest.indexOf('\r\n\r\n');
      if (head < 0) return;
      const text = rest.toString('latin1', 0, head);
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
      if (!text.startsWith('HTTP/1.1 200') || Number.isNaN(length)) {
        socket.destroy();
        reject(new Error(`unexpected answer: ${rest.toString('utf8').slice(0, 400)}`));
        return;
      }
      if (rest.length < head + 4 + length) return;
      rest = rest.subarray(head + 4 + length);
      answered += 1;
      ask();
    });
  });
}
