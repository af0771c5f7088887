/**
 * A ZeroMQ peer of a relay stream: ZMTP 3.1 (RFC 23) with PLAIN (RFC 24), as PUSH, PULL or DEALER, over one connection that it owns and does not open again. Message parts are
 * views of what came; a reader that keeps one copies it.
 */
import net from 'node:net';
import { helloZmtp } from '../zmtp-hello.ts';
import type { Credential } from './load-path.ts';

export type SocketType = 'PUSH' | 'PULL' | 'DEALER';

export interface ZmtpPeer {
  /** One message. Undefined where there is room for more now. */
  send(body: Uint8Array): void;
  room(): Promise<void> | undefined;
  /** When what was sent has left, or after two seconds. */
  close(): Promise<void>;
}

interface PeerOptions {
  readonly type: SocketType;
  readonly onMessage: (parts: readonly Buffer[]) => void;
  readonly onEnd: (why: string) => void;
}

const STEP_MS = 5000;
const LEAVE_MS = 2000;
const [MORE, LONG, COMMAND] = [0x01, 0x02, 0x04];
const LONG_HEADER_BYTES = 9;
const SHORT_HEADER_BYTES = 2;

export async function connectZmtp(credential: Credential, { type, onMessage, onEnd }: PeerOptions): Promise<ZmtpPeer> {
  const at = new URL(credential.endpoint);
  const socket = net.connect({ host: at.hostname.replace(/^\[|\]$/g, ''), port: Number(at.port), noDelay: true });
  let [chunks, held, wanted]: [Buffer[], number, number] = [[], 0, 1];
  let ended = '';
  let look = (): void => undefined;
  const take = (count: number): Buffer => {
    const all = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    held -= count;
    chunks = held === 0 ? [] : [all.subarray(count)];
    return all.subarray(0, count);
  };
  const peek = (): Buffer => {
    if (chunks.length > 1) chunks = [Buffer.concat(chunks)];
    return chunks[0] ?? Buffer.alloc(0);
  };
  socket.on('data', (octets: Buffer) => {
    chunks.push(octets);
    held += octets.length;
    if (held >= wanted) look();
  });
  socket.on('error', (cause: Error) => {
    ended = cause.message;
  });
  let leaving = false;
  socket.on('close', () => {
    ended ||= 'the other end closed the connection';
    look();
    if (!leaving) onEnd(ended);
  });
  const read = (enough: (octets: Buffer) => number | undefined): Promise<Buffer> =>
    new Promise((got, failed) => {
      const late = setTimeout(() => socket.destroy(new Error(`nothing was answered in ${STEP_MS / 1000} s`)), STEP_MS);
      look = () => {
        const count = enough(peek());
        if (count === undefined && ended === '') return;
        clearTimeout(late);
        look = () => undefined;
        if (count === undefined) failed(new Error(ended));
        else got(take(count));
      };
      look();
    });
  await helloZmtp({ write: (octets) => void socket.write(octets), read }, credential.username, credential.password);
  socket.write(commandOf('INITIATE', propertyOf('Socket-Type', type)));
  const answer = await read((octets) => (octets.length < 2 ? undefined : frameEnd(octets)));
  const name = answer.toString('latin1', 3, 3 + (answer[2] ?? 0));
  if (name !== 'READY') {
    socket.destroy();
    throw new Error(`the relay refused a ${type}: ${answer.toString('utf8', 4 + (answer[2] ?? 0))}`);
  }
  let parts: Buffer[] = [];
  look = () => {
    for (;;) {
      const octets = held === 0 ? undefined : peek();
      const end = octets === undefined ? undefined : frameEnd(octets);
      if (octets === undefined || end === undefined || held < end) {
        wanted = end ?? held + 1;
        return;
      }
      const frame = take(end);
      const flags = frame[0] ?? 0;
      const body = frame.subarray((flags & LONG) === 0 ? SHORT_HEADER_BYTES : LONG_HEADER_BYTES);
      if ((flags & COMMAND) !== 0) continue;
      parts.push(body);
      if ((flags & MORE) !== 0) continue;
      const whole = parts;
      parts = [];
      onMessage(whole);
    }
  };
  look();
  let full: Promise<void> | undefined;
  return {
    send(body) {
      socket.cork();
      socket.write(headerOf(body.length));
      const room = socket.write(body);
      socket.uncork();
      if (!room)
        full ??= new Promise((resolve) => {
          const done = (): void => {
            full = undefined;
            resolve();
          };
          socket.once('drain', done);
          socket.once('close', done);
        });
    },
    room: () => full,
    async close() {
      leaving = true;
      if (socket.destroyed) return;
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const late = setTimeout(() => socket.destroy(), LEAVE_MS);
      socket.end();
      await closed;
      clearTimeout(late);
    },
  };
}

/** Where the frame at the beginning ends; undefined while its header is not whole. */
function frameEnd(octets: Buffer): number | undefined {
  if (octets.length < SHORT_HEADER_BYTES) return undefined;
  if (((octets[0] ?? 0) & LONG) === 0) return SHORT_HEADER_BYTES + (octets[1] ?? 0);
  return octets.length < LONG_HEADER_BYTES ? undefined : LONG_HEADER_BYTES + Number(octets.readBigUInt64BE(1));
}

function headerOf(bytes: number): Buffer {
  if (bytes < 256) return Buffer.of(0, bytes);
  const header = Buffer.alloc(LONG_HEADER_BYTES);
  header[0] = LONG;
  header.writeBigUInt64BE(BigInt(bytes), 1);
  return header;
}

function propertyOf(name: string, value: string): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(value.length);
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name), size, Buffer.from(value)]);
}

function commandOf(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.of(name.length), Buffer.from(name), data]);
  return Buffer.concat([Buffer.of(COMMAND, body.length), body]);
}
