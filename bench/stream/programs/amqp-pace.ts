/**
 * A producer that sends at a given pace whatever comes back, and a consumer that says how long each message was under way (written to whole at the consumer), one queue, one process. Orders as one
 * JSON line on stdin, a report on stdout. Every payload carries its number and when it was written; all must come, in order.
 */
import { createInterface } from 'node:readline';
import { shortString } from '../../../src/dsn/amqp/index.ts';
import { percentile } from '../percentile.ts';
import { method, open, publisher, u16, u32, u64, walk } from './amqp-client.ts';

export interface PaceOrders {
  readonly port: number;
  readonly password: string;
  readonly bytes: number;
  readonly messages: number;
  readonly perSecond: number;
}

export interface PaceReport {
  readonly p50Us: number;
  readonly p99Us: number;
  /** Most that a message was written after its time, milliseconds: the program itself did not keep up. */
  readonly lateMs: number;
  readonly messages: number;
}

const ACK_EVERY = 32;
const QUEUE = 'bench-pace';
const NUMBER_AND_TIME = 16;

async function run({ port, password, bytes, messages, perSecond }: PaceOrders): Promise<PaceReport> {
  const [producer, consumer] = [await open({ port, password }), await open({ port, password })];
  const none = u32(0);
  await producer.ask(method(0x0032_000a, u16(0), shortString(QUEUE), Buffer.of(0), none), 0x0032_000b);
  await producer.ask(method(0x0032_001e, u16(0), shortString(QUEUE), Buffer.of(0)), 0x0032_001f);
  await consumer.ask(method(0x003c_000a, none, u16(1024), Buffer.of(0)), 0x003c_000b);
  const publish = publisher(producer.socket, QUEUE, bytes);
  const took: number[] = [];
  let head = Buffer.alloc(0);
  let got = 0;
  const done = new Promise<void>((resolve, reject) => {
    consumer.socket.on(
      'data',
      walk({
        method: () => undefined,
        body(piece) {
          if (head.length < NUMBER_AND_TIME) head = Buffer.concat([head, piece.subarray(0, NUMBER_AND_TIME)]);
          got += piece.length;
          if (got < bytes) return;
          const [number, writtenMs] = [head.readDoubleBE(0), head.readDoubleBE(8)];
          if (number !== took.length) reject(new Error(`message ${number} came as number ${took.length}`));
          took.push(performance.now() - writtenMs);
          [got, head] = [0, Buffer.alloc(0)];
          if (took.length % ACK_EVERY === 0 || took.length === messages)
            consumer.socket.write(method(0x003c_0050, u64(took.length), Buffer.of(1)));
          if (took.length === messages) resolve();
        },
      }),
    );
  });
  consumer.socket.write(method(0x003c_0014, u16(0), shortString(QUEUE), shortString('c'), Buffer.of(0), none));
  const began = performance.now();
  let [next, lateMs] = [0, 0];
  const push = (): void => {
    const now = performance.now();
    for (; next < messages && next <= ((now - began) * perSecond) / 1000; next++) {
      lateMs = Math.max(lateMs, now - began - (next * 1000) / perSecond);
      const payload = Buffer.alloc(bytes, 'beamway-');
      payload.writeDoubleBE(next, 0);
      payload.writeDoubleBE(performance.now(), 8);
      publish(payload);
    }
    if (next < messages) setTimeout(push, 1);
  };
  push();
  await done;
  producer.socket.destroy();
  consumer.socket.destroy();
  // The first half second is warming up.
  const counted = took.slice(Math.min(took.length >> 1, perSecond >> 1));
  const us = (part: number): number => Math.round(percentile(counted, part) * 1000);
  return { p50Us: us(0.5), p99Us: us(0.99), lateMs: Number(lateMs.toFixed(1)), messages: took.length };
}

for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as PaceOrders))}\n`);
