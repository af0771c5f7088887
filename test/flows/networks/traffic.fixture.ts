/** A producer or a consumer in its namespace: frames that differ, through one connection, by Redis streams; says how many so far in a JSON line each, and at the end their digest. A buffer that is full is tried again. */
import { createHash } from 'node:crypto';
import { createClient, RESP_TYPES } from '@redis/client';

export interface TrafficOrders {
  readonly endpoint: string;
  readonly role: 'producer' | 'consumer';
  readonly messages: number;
  readonly bytes: number;
  /** Between two messages. */
  readonly pauseMs?: number;
}

export interface TrafficLine {
  readonly count: number;
  /** Of the producer: how often the buffer was full. */
  readonly refused: number;
  /** Once all are through. */
  readonly digest?: string;
  /** The connection ended before. */
  readonly ended?: string;
}

const { endpoint, role, messages, bytes, pauseMs = 0 } = JSON.parse(process.argv[2] ?? '') as TrafficOrders;
const { hostname: host, port } = new URL(endpoint);
const say = (line: TrafficLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const hash = createHash('sha256');
let [count, refused] = [0, 0];
const end = (cause: unknown): void => {
  say({ count, refused, ended: String(cause) });
  process.exit(0);
};
const client = createClient({
  ...{ username: role, password: `${role}-password`, RESP: 2, disableClientInfo: true },
  socket: { host, port: Number(port), reconnectStrategy: false },
}).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
client.on('error', end);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function produce(): Promise<void> {
  while (count < messages) {
    const frame = Buffer.alloc(bytes, `frame ${count} `);
    try {
      await client.sendCommand(['XADD', 'frames', '*', 'f', frame]);
    } catch (cause) {
      if (!String(cause).includes('OOM')) throw cause;
      refused += 1;
      if (refused % 50 === 1) say({ count, refused });
      await pause(5);
      continue;
    }
    hash.update(frame);
    count += 1;
    say({ count, refused });
    if (pauseMs > 0) await pause(pauseMs);
  }
}

type Entries = readonly (readonly [Buffer, readonly (readonly [Buffer, readonly [Buffer, Buffer]])[]])[];

async function consume(): Promise<void> {
  await client.sendCommand(['XGROUP', 'CREATE', 'frames', 'g', '0', 'MKSTREAM']).catch(() => undefined);
  say({ count, refused });
  while (count < messages) {
    const words = ['XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '8', 'BLOCK', '1000', 'STREAMS', 'frames', '>'];
    const answer = (await client.sendCommand(words)) as unknown as Entries | null;
    for (const [id, [, frame]] of answer?.[0]?.[1] ?? []) {
      hash.update(frame);
      count += 1;
      await client.sendCommand(['XACK', 'frames', 'g', id]);
    }
    say({ count, refused });
  }
}

try {
  await client.connect();
  await (role === 'producer' ? produce() : consume());
  say({ count, refused, digest: hash.digest('hex') });
  process.exit(0);
} catch (cause) {
  end(cause);
}
