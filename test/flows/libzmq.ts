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

export function pushTo(t: TestScope, credential: Credential): Push {
  const socket = new Push({ ...plain(credential), sendHighWaterMark: 8, reconnectInterval: 20 });
  t.after(() => socket.close());
  socket.connect(credential.endpoint);
  return socket;
}

export function pullFrom(t: TestScope, credential: Credential): Pull {
  const socket = new Pull({ ...plain(credential), receiveHighWaterMark: 8, reconnectInterval: 20 });
  t.after(() => socket.close());
  socket.connect(credential.endpoint);
  return socket;
}

export function dealWith(t: TestScope, credential: Credential): Dealer {
  const socket = new Dealer({ ...plain(credential), receiveHighWaterMark: 8, reconnectInterval: 20 });
  t.after(() => socket.close());
  socket.connect(credential.endpoint);
  return socket;
}

/** Resolves when the socket's handshake is done for the first time, or its connection is cut. */
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
