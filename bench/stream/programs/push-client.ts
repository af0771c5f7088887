/**
 * A libzmq PUSH client in a process of its own: reads one JSON line of orders on stdin, sends, says what it did.
 * The same program for every path; only endpoint and credentials differ. Credentials come by stdin, never in argv.
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import zmq from 'zeromq';

export interface PushOrders {
  readonly endpoint: string;
  readonly username?: string;
  readonly password?: string;
  readonly messages: number;
  readonly bytes: number;
  /** Octets 0-3 producer, 4-7 sequence, then seeded content whose SHA-1 is in the last 20; otherwise one buffer again and again. */
  readonly checksummed: boolean;
  readonly producer: number;
}

const [line = ''] = await new Promise<string[]>((resolve) =>
  createInterface(process.stdin).once('line', (text) => resolve([text])),
);
const orders = JSON.parse(line) as PushOrders;
const { username, password } = orders;
const credentials =
  username === undefined || password === undefined ? {} : { plainUsername: username, plainPassword: password };
const socket = new zmq.Push({ ...credentials, linger: 30_000 });
socket.connect(orders.endpoint);

const pattern = Buffer.alloc(orders.bytes * 2, Buffer.from(Array.from({ length: 251 }, (_, at) => at)));
const checksummed = (sequence: number): Buffer => {
  const frame = Buffer.allocUnsafeSlow(orders.bytes);
  pattern.copy(frame, 0, (sequence * 31) % 251);
  frame.writeUInt32BE(orders.producer, 0);
  frame.writeUInt32BE(sequence, 4);
  createHash('sha1')
    .update(frame.subarray(0, -20))
    .digest()
    .copy(frame, orders.bytes - 20);
  return frame;
};
const same = Buffer.from(pattern.subarray(0, orders.bytes));
for (let sequence = 0; sequence < orders.messages; sequence += 1)
  await socket.send(orders.checksummed ? checksummed(sequence) : same);
socket.close();
// Ends by itself once libzmq has flushed the last message: no timer or handle of ours is left.
process.stdin.destroy();
