/**
 * A producer and a consumer of one queue in one process, raw AMQP 0-9-1, so that clients cost little. Orders as one JSON line on stdin, a report on stdout. With `checksummed` every
 * payload is compared with what was sent. Log-ins are by PLAIN as `beamway`, the node's own account.
 */
import { createHash } from 'node:crypto';
import net from 'node:net';
import { createInterface } from 'node:readline';
import {
  FRAME,
  longString,
  METHOD,
  methodFrame,
  methodOf,
  PROTOCOL_HEADER,
  readFrame,
  shortString,
} from '../../../src/dsn/amqp/index.ts';
import type { LoadOrders, LoadReport } from '../gateway-figures.ts';

const OUTSTANDING = 64;
const ACK_EVERY = 32;
const FRAME_BYTES = 131_072;
const QUEUE = 'bench';

const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 255);
const u32 = (value: number): Buffer => {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
};
const u64 = (value: number): Buffer => Buffer.concat([u32(Math.floor(value / 2 ** 32)), u32(value % 2 ** 32)]);
const frame = (type: number, payload: Uint8Array): Buffer =>
  Buffer.concat([Buffer.of(type, 0, 1), u32(payload.length), payload, Buffer.of(0xce)]);
/** On channel 1. */
const method = (id: number, ...fields: readonly Uint8Array[]): Buffer =>
  frame(FRAME.method, Buffer.concat([u32(id), ...fields]));

interface Link {
  readonly socket: net.Socket;
  /** What is sent, and the method that answers it. */
  ask(octets: Uint8Array, answer: number): Promise<void>;
}

async function open(port: number, password: string): Promise<Link> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  let held: Buffer = Buffer.alloc(0);
  const until = (id: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (part?: Buffer): void => {
        if (part !== undefined) held = Buffer.concat([held, part]);
        const read = readFrame(held, 0, FRAME_BYTES);
        if (read.kind !== 'frame') return;
        held = held.subarray(read.end);
        socket.off('data', look);
        if (methodOf(read.frame) === id) resolve();
        else reject(new Error(`not ${id.toString(16)}: ${read.frame.payload.toString('latin1').slice(0, 200)}`));
      };
      socket.on('data', look);
      socket.once('error', reject);
      look();
    });
  const ask = (octets: Uint8Array, answer: number): Promise<void> => {
    socket.write(octets);
    return until(answer);
  };
  await ask(PROTOCOL_HEADER, METHOD.start);
  const login = Buffer.from(`\0beamway\0${password}`);
  const fields = [longString(Buffer.alloc(0)), shortString('PLAIN'), longString(login), shortString('en_US')];
  await ask(methodFrame(METHOD.startOk, ...fields), METHOD.tune);
  socket.write(methodFrame(METHOD.tuneOk, u16(16), u32(FRAME_BYTES), u16(0)));
  // The broker's own port wants the name; the gateway takes it too.
  await ask(methodFrame(METHOD.open, shortString('beamway'), Buffer.of(0, 0)), METHOD.openOk);
  await ask(method(0x0014_000a, shortString('')), 0x0014_000b);
  return { socket, ask };
}

/** Walks what the broker sends: each method's octets, and each body's in pieces. */
function walk(on: { method(payload: Buffer): void; body(piece: Buffer): void }): (octets: Buffer) => void {
  let held: Buffer = Buffer.alloc(0);
  let left = 0;
  let end = 0;
  return (octets) => {
    let at = 0;
    while (at < octets.length) {
      if (left > 0) {
        const count = Math.min(left, octets.length - at);
        on.body(octets.subarray(at, at + count));
        left -= count;
        at += count;
      } else if (end > 0) {
        end -= 1;
        at += 1;
      } else {
        // A header, or a small frame: whole in what is there, or kept.
        const all = held.length === 0 ? octets.subarray(at) : Buffer.concat([held, octets.subarray(at)]);
        if (all.length < 7) {
          held = Buffer.from(all);
          return;
        }
        const size = all.readUInt32BE(3);
        const from = octets.length - all.length;
        if (all[0] === FRAME.body) {
          at = from + 7;
          [left, end] = [size, 1];
          held = Buffer.alloc(0);
          continue;
        }
        if (all.length < size + 8) {
          held = Buffer.from(all);
          return;
        }
        if (all[0] === FRAME.method) on.method(all.subarray(7, 7 + size));
        at = from + size + 8;
        held = Buffer.alloc(0);
      }
    }
  };
}

async function run({ port, password, bytes, messages, checksummed }: LoadOrders): Promise<LoadReport> {
  const [producer, consumer] = [await open(port, password), await open(port, password)];
  const none = u32(0);
  await producer.ask(method(0x0032_000a, u16(0), shortString(QUEUE), Buffer.of(0), none), 0x0032_000b);
  await producer.ask(method(0x0032_001e, u16(0), shortString(QUEUE), Buffer.of(0)), 0x0032_001f);
  await producer.ask(method(METHOD.confirmSelect, Buffer.of(0)), 0x0055_000b);
  await consumer.ask(method(0x003c_000a, none, u16(64), Buffer.of(0)), 0x003c_000b);
  const payload = Buffer.alloc(bytes, 'beamway-');
  const head = Buffer.concat([
    method(METHOD.publish, u16(0), shortString(''), shortString(QUEUE), Buffer.of(0)),
    frame(FRAME.header, Buffer.concat([u16(60), u16(0), u64(bytes), u16(0)])),
  ]);
  const [sent, read] = [createHash('sha256'), createHash('sha256')];
  let [next, confirmed, seen, got] = [0, 0, 0, 0];
  const push = (): void => {
    for (; next < messages && next - confirmed < OUTSTANDING; next++) {
      const body = checksummed ? Buffer.from(payload) : payload;
      if (checksummed) {
        body.writeUInt32BE(next, 0);
        sent.update(body);
      }
      producer.socket.cork();
      producer.socket.write(head);
      for (let at = 0; at < bytes; at += FRAME_BYTES - 8) {
        const piece = body.subarray(at, at + FRAME_BYTES - 8);
        producer.socket.write(Buffer.concat([Buffer.of(FRAME.body, 0, 1), u32(piece.length)]));
        producer.socket.write(piece);
        producer.socket.write(Buffer.of(0xce));
      }
      producer.socket.uncork();
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
    consumer.socket.write(method(0x003c_0014, u16(0), shortString(QUEUE), shortString('c'), Buffer.of(0), none));
    push();
  });
  const seconds = (performance.now() - began) / 1000;
  producer.socket.destroy();
  consumer.socket.destroy();
  const digests = checksummed ? ([sent.digest('hex'), read.digest('hex')] as const) : ([] as const);
  return { rate: (bytes * messages) / seconds, messages: seen, digests };
}

for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as LoadOrders))}\n`);
