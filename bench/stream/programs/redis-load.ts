/**
 * A producer and a consumer of one Redis stream in one process, raw RESP, so that clients cost little: XADD with so many outstanding, XREAD in batches, and XTRIM of what was read.
 * Orders as one JSON line on stdin, `{rate}` (payload bytes per second, first XADD to last entry read) on stdout. With `checksummed` every payload is compared with what was sent.
 */
import { createHash } from 'node:crypto';
import net from 'node:net';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import type { LoadOrders, LoadReport } from '../gateway-figures.ts';

const OUTSTANDING = 64;
const BATCH = '64';

const words = (...list: (string | number)[]): string =>
  `*${list.length}\r\n${list.map((w) => `$${Buffer.byteLength(String(w))}\r\n${w}\r\n`).join('')}`;

/** Walks answers: calls back with each bulk string, in pieces where it is long. Nested arrays are flat to it. */
function answers(on: { bulk(length: number): void; piece(octets: Buffer): void; line(text: string): void }) {
  let left = 0;
  let skip = 0;
  let head = '';
  return (octets: Buffer): void => {
    for (let at = 0; at < octets.length; ) {
      if (left > 0) {
        const count = Math.min(left, octets.length - at);
        on.piece(octets.subarray(at, at + count));
        left -= count;
        at += count;
        if (left === 0) skip = 2;
      } else if (skip > 0) {
        const count = Math.min(skip, octets.length - at);
        skip -= count;
        at += count;
      } else {
        const end = octets.indexOf(10, at);
        if (end < 0) {
          head += octets.toString('latin1', at);
          return;
        }
        const line = head + octets.toString('latin1', at, end - 1);
        head = '';
        at = end + 1;
        if (line.startsWith('$')) {
          left = Number(line.slice(1));
          on.bulk(left);
          if (left === 0) skip = 2;
          if (left < 0) left = 0;
        } else on.line(line);
      }
    }
  };
}

async function open({ port, password, authority }: LoadOrders, name: string): Promise<net.Socket> {
  const at = { port, host: '127.0.0.1', noDelay: true };
  const socket = authority === undefined ? net.connect(at) : tls.connect({ ...at, ca: authority });
  socket.write(words('AUTH', name, password));
  const [answer] = await new Promise<[Buffer]>((resolve, reject) => {
    socket.once('data', (data: Buffer) => resolve([data]));
    socket.once('error', reject);
  });
  if (!answer.toString().startsWith('+OK')) throw new Error(answer.toString());
  return socket;
}

async function run(orders: LoadOrders): Promise<LoadReport> {
  const { bytes, messages, checksummed } = orders;
  const key = `bench-${process.pid}`;
  const [producer, consumer] = [await open(orders, 'producer'), await open(orders, 'consumer')];
  const payload = Buffer.alloc(bytes, 'beamway-');
  const before = Buffer.from(`*5\r\n$4\r\nXADD\r\n$${key.length}\r\n${key}\r\n$1\r\n*\r\n$1\r\nf\r\n$${bytes}\r\n`);
  const after = Buffer.from('\r\n');
  const [sent, read] = [createHash('sha256'), createHash('sha256')];
  let [next, acknowledged, seen, latest] = [0, 0, 0, '0'];
  const began = performance.now();
  const push = (): void => {
    for (; next < messages && next - acknowledged < OUTSTANDING; next++) {
      const body = checksummed ? Buffer.from(payload) : payload;
      if (checksummed) {
        body.writeUInt32BE(next % 4_294_967_296, 0);
        sent.update(body);
      }
      producer.cork();
      producer.write(before);
      producer.write(body);
      producer.write(after);
      producer.uncork();
    }
  };
  producer.on('data', answers({ bulk: () => undefined, line: fault, piece: () => void acknowledged++ }));
  producer.on('data', push);
  let small: Buffer[] = [];
  let length = 0;
  /** Of the answer under way: arrays seen, and how many entries it holds. `*1 *2 key *N`. */
  let [arrays, batchEnd] = [0, -1];
  const ask = (): void => {
    [arrays, batchEnd] = [0, -1];
    const trim = latest === '0' ? '' : words('XTRIM', key, 'MINID', latest);
    consumer.write(`${trim}${words('XREAD', 'COUNT', BATCH, 'BLOCK', 5000, 'STREAMS', key, latest)}`);
  };
  await new Promise<void>((resolve) => {
    let got = 0;
    const walk = answers({
      bulk(n) {
        length = n;
        small = [];
      },
      line(text) {
        fault(text);
        if (!text.startsWith('*')) return;
        arrays += 1;
        if (arrays === 3) batchEnd = seen + Number(text.slice(1));
      },
      piece(octets) {
        if (length === bytes) {
          if (checksummed) read.update(octets);
          got += octets.length;
          if (got < bytes) return;
          got = 0;
          seen += 1;
          if (seen === messages) resolve();
          else if (seen === batchEnd) ask();
          return;
        }
        small.push(octets);
        const text = Buffer.concat(small).toString('latin1');
        if (text.length === length && /^\d+-\d+$/.test(text)) latest = text;
      },
    });
    consumer.on('data', walk);
    push();
    ask();
  });
  const seconds = (performance.now() - began) / 1000;
  consumer.write(words('XTRIM', key, 'MAXLEN', 0));
  await new Promise((resolve) => consumer.once('data', resolve));
  producer.destroy();
  consumer.destroy();
  const digests = checksummed ? ([sent.digest('hex'), read.digest('hex')] as const) : ([] as const);
  return { rate: (bytes * messages) / seconds, messages: seen, digests };
}

function fault(text: string): void {
  if (text.startsWith('-')) throw new Error(text);
}

for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as LoadOrders))}\n`);
