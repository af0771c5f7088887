/**
 * A libzmq PULL (or, for redeliver streams, DEALER) client in a process of its own: orders as one JSON line on stdin,
 * `{"ready":...}` when it is bound or connecting, and its count as a JSON line when the expected messages came or stdin closed.
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import zmq from 'zeromq';

export interface PullOrders {
  /** Bound when it ends in `:0` or `:*`, else connected to. */
  readonly bind: boolean;
  readonly endpoint: string;
  readonly username?: string;
  readonly password?: string;
  readonly redeliver: boolean;
  /** Ends after so many; with `checksummed`, after so many different ones. */
  readonly messages: number;
  readonly checksummed: boolean;
  /** Stops receiving for `pauseMs` after every so many messages, to bring on back-pressure. */
  readonly pauseEvery?: number;
  readonly pauseMs?: number;
  /** Says `{"finished":"producer:sequence"}` before it acknowledges a frame, so that a kill cannot hide one. */
  readonly reportEach?: boolean;
}

export interface PullReport {
  readonly messages: number;
  readonly bytes: number;
  /** From the first message to the last, the first one's bytes not counted. */
  readonly seconds: number;
  readonly rate: number;
  readonly corrupt: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
  /** `producer:sequence` in the order of arrival, with `checksummed`. */
  readonly seen: readonly string[];
}

const lines = createInterface(process.stdin)[Symbol.asyncIterator]();
const orders = JSON.parse((await lines.next()).value ?? '{}') as PullOrders;
const { username, password } = orders;
const credentials =
  username === undefined || password === undefined ? {} : { plainUsername: username, plainPassword: password };
const socket = orders.redeliver
  ? new zmq.Dealer({ ...credentials, linger: 1000 })
  : new zmq.Pull({ ...credentials, linger: 0 });
if (orders.bind) await socket.bind(orders.endpoint);
else socket.connect(orders.endpoint);
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);
say({ ready: orders.bind ? socket.lastEndpoint : orders.endpoint });

let messages = 0;
let bytes = 0;
let firstAt = 0;
let lastAt = 0;
let corrupt = 0;
let duplicates = 0;
let outOfOrder = 0;
const seen = new Set<string>();
const last = new Map<number, number>();

const check = (frame: Buffer): void => {
  const producer = frame.readUInt32BE(0);
  const sequence = frame.readUInt32BE(4);
  const digest = createHash('sha1').update(frame.subarray(0, -20)).digest();
  if (!digest.equals(frame.subarray(-20))) corrupt += 1;
  const key = `${producer}:${sequence}`;
  if (seen.has(key)) duplicates += 1;
  else if (sequence <= (last.get(producer) ?? -1)) outOfOrder += 1;
  seen.add(key);
  last.set(producer, Math.max(sequence, last.get(producer) ?? -1));
};

const acknowledge = async (tag: Buffer): Promise<void> => {
  if (orders.redeliver) await (socket as zmq.Dealer).send(tag);
};

void lines.next().then(() => socket.close());
try {
  for await (const parts of socket) {
    const frame = parts.at(-1) ?? Buffer.alloc(0);
    lastAt = performance.now();
    if (messages === 0) firstAt = lastAt;
    else bytes += frame.length;
    messages += 1;
    if (orders.checksummed) check(frame);
    if (orders.reportEach === true) say({ finished: `${frame.readUInt32BE(0)}:${frame.readUInt32BE(4)}` });
    await acknowledge(parts[0] ?? frame);
    if (orders.pauseEvery !== undefined && messages % orders.pauseEvery === 0) {
      await new Promise((resolve) => setTimeout(resolve, orders.pauseMs ?? 10));
    }
    if ((orders.checksummed ? seen.size : messages) >= orders.messages) break;
  }
} catch (error) {
  if (!socket.closed) throw error;
}
const seconds = (lastAt - firstAt) / 1000;
const report: PullReport = {
  messages,
  bytes,
  seconds,
  rate: bytes / seconds,
  corrupt,
  duplicates,
  outOfOrder,
  seen: [...seen],
};
say(report);
if (!socket.closed) socket.close();
process.stdin.destroy();
