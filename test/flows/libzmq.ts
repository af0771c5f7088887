/** Plain libzmq programs for flows: sockets with the two PLAIN options and nothing else. Owns the sockets it opens, until the test ends. */
import { createHash } from 'node:crypto';
import { Dealer, Pull, Push } from 'zeromq';
import type { Client, Result } from '../../clients/typescript/src/index.ts';
import { type TestScope, until } from './start-beamway.ts';

export type Credential = Pick<Result<'stream.credential'>, 'endpoint' | 'username' | 'password'>;

type Role = 'producer' | 'consumer';

/** Provisions a stream and waits until its node has it. */
export async function readyStream(
  client: Client,
  template: string,
  parameters: Readonly<Record<string, unknown>> = {},
): Promise<Result<'stream.show'>> {
  const { id } = await client.call('stream.create', { body: { name: 'flow', template, parameters } });
  return until(`stream ${id} is ready`, async () => {
    const stream = await client.call('stream.show', { params: { id }, query: { waitSeconds: 20 } });
    if (stream.state === 'failed') throw new Error(stream.reason);
    return stream.state === 'ready' && stream;
  });
}

export const credentialFor = (client: Client, id: string, role: Role): Promise<Result<'stream.credential'>> =>
  client.call('stream.credential', { params: { id }, body: { role } });

const plain = (c: Credential) => ({ plainUsername: c.username, plainPassword: c.password, linger: 0 });

const TUNED = { reconnectInterval: 20 } as const;
const ready = new WeakMap<object, Promise<void>>();

function connect<S extends Push | Pull | Dealer>(t: TestScope, socket: S, endpoint: string): S {
  t.after(() => socket.close());
  ready.set(socket, eventOf(socket, 'handshake'));
  socket.connect(endpoint);
  return socket;
}

export const pushTo = (t: TestScope, c: Credential): Push =>
  connect(t, new Push({ ...plain(c), ...TUNED, sendHighWaterMark: 8 }), c.endpoint);
export const pullFrom = (t: TestScope, c: Credential): Pull =>
  connect(t, new Pull({ ...plain(c), ...TUNED, receiveHighWaterMark: 8 }), c.endpoint);
export const dealWith = (t: TestScope, c: Credential): Dealer =>
  connect(t, new Dealer({ ...plain(c), ...TUNED, receiveHighWaterMark: 8 }), c.endpoint);

/** Resolves when the socket was admitted for the first time. */
export const admitted = (socket: Push | Pull | Dealer): Promise<void> => ready.get(socket) ?? Promise.resolve();

/** Resolves at the next such event; ask before you cause it. */
export function eventOf(socket: Push | Pull | Dealer, name: 'handshake' | 'disconnect'): Promise<void> {
  return new Promise((resolve) => socket.events.on(name, () => resolve()));
}

/** Frames that carry their number and differ in every octet from their neighbours. */
export function frameOf(number: number, bytes: number): Buffer {
  const frame = Buffer.alloc(bytes, `frame ${number} `);
  frame.writeUInt32BE(number, 0);
  return frame;
}

export const numberOf = (frame: Buffer): number => frame.readUInt32BE(0);
export const digestOf = (frame: Buffer): string => createHash('sha256').update(frame).digest('hex');

/** Who is connected, as the node last reported. */
export async function connectedCredentials(client: Client, id: string): Promise<readonly string[]> {
  return (await client.call('stream.show', { params: { id } })).connections.map((c) => c.credential);
}
