/**
 * A producer and a consumer of one queue in one process, raw AMQP 0-9-1, so that clients cost little. Orders as one JSON line on stdin, a report on stdout. With `checksummed` every
 * payload is compared with what was sent. Log-ins are by PLAIN as `beamway`, the node's own account, unless the orders name others.
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { METHOD, shortString } from '../../../src/dsn/amqp/index.ts';
import type { LoadOrders, LoadReport } from '../gateway-figures.ts';
import { method, open, publisher, u16, u32, u64, walk } from './amqp-client.ts';

const OUTSTANDING = 64;
const ACK_EVERY = 32;

/** Who logs in where; the queue of a stream is there already, and is empty. */
export interface AmqpLoadOrders extends LoadOrders {
  readonly as?: {
    readonly vhost: string;
    readonly queue: string;
    readonly producer: string;
    readonly consumer: string;
  };
}

async function run({ port, password, bytes, messages, checksummed, as }: AmqpLoadOrders): Promise<LoadReport> {
  const login = { port, password, vhost: as?.vhost };
  const [producer, consumer] = [
    await open({ ...login, username: as?.producer }),
    await open({ ...login, username: as?.consumer }),
  ];
  const queue = as?.queue ?? 'bench';
  const none = u32(0);
  if (as === undefined) {
    await producer.ask(method(0x0032_000a, u16(0), shortString(queue), Buffer.of(0), none), 0x0032_000b);
    await producer.ask(method(0x0032_001e, u16(0), shortString(queue), Buffer.of(0)), 0x0032_001f);
  }
  await producer.ask(method(METHOD.confirmSelect, Buffer.of(0)), 0x0055_000b);
  await consumer.ask(method(0x003c_000a, none, u16(64), Buffer.of(0)), 0x003c_000b);
  const payload = Buffer.alloc(bytes, 'beamway-');
  const publish = publisher(producer.socket, queue, bytes);
  const [sent, read] = [createHash('sha256'), createHash('sha256')];
  let [next, confirmed, seen, got] = [0, 0, 0, 0];
  const push = (): void => {
    for (; next < messages && next - confirmed < OUTSTANDING; next++) {
      const body = checksummed ? Buffer.from(payload) : payload;
      if (checksummed) {
        body.writeUInt32BE(next, 0);
        sent.update(body);
      }
      publish(body);
    }
  };
  const began = performance.now();
  producer.socket.on(
    'data',
    walk({
      method(octets) {
        const id = octets.readUInt32BE(0);
        if (id !== 0x003c_0050) throw new Error(`not an ack: ${octets.toString('latin1').slice(0, 200)}`);
        const tag = Number(octets.readBigUInt64BE(4));
        confirmed = (octets[12] ?? 0) === 1 ? tag : Math.max(confirmed + 1, 0);
      },
      body: () => undefined,
    }),
  );
  producer.socket.on('data', push);
  await new Promise<void>((resolve) => {
    consumer.socket.on(
      'data',
      walk({
        method: () => undefined,
        body(piece) {
          if (checksummed) read.update(piece);
          got += piece.length;
          if (got < bytes) return;
          got = 0;
          seen += 1;
          if (seen % ACK_EVERY === 0 || seen === messages)
            consumer.socket.write(method(0x003c_0050, u64(seen), Buffer.of(1)));
          if (seen === messages) resolve();
        },
      }),
    );
    consumer.socket.write(method(0x003c_0014, u16(0), shortString(queue), shortString('c'), Buffer.of(0), none));
    push();
  });
  const seconds = (performance.now() - began) / 1000;
  producer.socket.destroy();
  consumer.socket.destroy();
  const digests = checksummed ? ([sent.digest('hex'), read.digest('hex')] as const) : ([] as const);
  return { rate: (bytes * messages) / seconds, messages: seen, digests };
}

for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as AmqpLoadOrders))}\n`);
