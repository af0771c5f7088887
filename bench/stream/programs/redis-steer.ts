/**
 * Small messages at a given pace from one client to another, PUBLISH and SUBSCRIBE, one process. Orders as one JSON line on stdin, a report on stdout: how long each was under way, written to whole.
 * Every message carries its number and when it was written; all must come, in order.
 */
import net from 'node:net';
import { createInterface } from 'node:readline';
import { percentile } from '../percentile.ts';

export interface SteerOrders {
  readonly port: number;
  readonly password: string;
  readonly messages: number;
  readonly perSecond: number;
}

export interface SteerReport {
  readonly p50Us: number;
  readonly p99Us: number;
}

const BYTES = 256;
const words = (...list: readonly string[]): string =>
  `*${list.length}\r\n${list.map((w) => `$${w.length}\r\n${w}\r\n`).join('')}`;

async function ask(socket: net.Socket, text: string, answer: string): Promise<void> {
  socket.write(text);
  const said = await new Promise<string>((resolve, reject) => {
    socket.once('data', (data: Buffer) => resolve(data.toString()));
    socket.once('error', reject);
  });
  if (!said.startsWith(answer)) throw new Error(said.slice(0, 200));
}

async function run({ port, password, messages, perSecond }: SteerOrders): Promise<SteerReport> {
  const [producer, consumer] = ['', ''].map(() => net.connect({ port, host: '127.0.0.1', noDelay: true }));
  if (producer === undefined || consumer === undefined) throw new Error('no sockets');
  await ask(producer, words('AUTH', 'producer', password), '+OK');
  await ask(consumer, words('AUTH', 'consumer', password), '+OK');
  await ask(consumer, words('SUBSCRIBE', 'steer'), '*3');
  producer.resume();
  const lengthOfOne = words('message', 'steer', 'x'.repeat(BYTES)).length;
  const took: number[] = [];
  let held = '';
  const done = new Promise<void>((resolve, reject) => {
    consumer.on('data', (part: Buffer) => {
      held += part.toString('latin1');
      for (; held.length >= lengthOfOne; held = held.slice(lengthOfOne)) {
        const [number, writtenMs] = held
          .slice(lengthOfOne - BYTES - 2)
          .split(' ')
          .map(Number);
        if (number !== took.length) reject(new Error(`message ${number} came as number ${took.length}`));
        took.push(performance.now() - (writtenMs ?? Number.NaN));
        if (took.length === messages) resolve();
      }
    });
    consumer.on('close', () => reject(new Error('the connection ended')));
  });
  const began = performance.now();
  let next = 0;
  const push = (): void => {
    for (; next < messages && next <= ((performance.now() - began) * perSecond) / 1000; next++)
      producer.write(words('PUBLISH', 'steer', `${next} ${performance.now()} `.padEnd(BYTES, '.')));
    if (next < messages) setTimeout(push, 1);
  };
  push();
  await done;
  for (const socket of [producer, consumer]) socket.removeAllListeners('close').destroy();
  const us = (part: number): number => Math.round(percentile(took, part) * 1000);
  return { p50Us: us(0.5), p99Us: us(0.99) };
}

for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as SteerOrders))}\n`);
