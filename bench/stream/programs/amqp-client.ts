/** What the AMQP programs of this folder share: a log-in by PLAIN, a walk over what the broker sends, and the octets of a message. Raw AMQP 0-9-1, so that clients cost little. */
import net from 'node:net';
import tls from 'node:tls';
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

const FRAME_BYTES = 131_072;

export const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 255);
export const u32 = (value: number): Buffer => {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
};
export const u64 = (value: number): Buffer => Buffer.concat([u32(Math.floor(value / 2 ** 32)), u32(value % 2 ** 32)]);
export const frame = (type: number, payload: Uint8Array): Buffer =>
  Buffer.concat([Buffer.of(type, 0, 1), u32(payload.length), payload, Buffer.of(0xce)]);
/** On channel 1. */
export const method = (id: number, ...fields: readonly Uint8Array[]): Buffer =>
  frame(FRAME.method, Buffer.concat([u32(id), ...fields]));

export interface Login {
  readonly port: number;
  readonly password: string;
  /** The node's own account and virtual host unless told. */
  readonly username?: string | undefined;
  readonly vhost?: string | undefined;
  /** TLS where it is given. */
  readonly authority?: string | undefined;
}

export interface Link {
  readonly socket: net.Socket;
  /** What is sent, and the method that answers it. */
  ask(octets: Uint8Array, answer: number): Promise<void>;
}

export async function open({
  port,
  password,
  username = 'beamway',
  vhost = 'beamway',
  authority,
}: Login): Promise<Link> {
  const socket =
    authority === undefined
      ? net.connect({ port, host: '127.0.0.1', noDelay: true })
      : tls.connect({ port, host: '127.0.0.1', ca: authority }).setNoDelay(true);
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
  const login = Buffer.from(`\0${username}\0${password}`);
  const fields = [longString(Buffer.alloc(0)), shortString('PLAIN'), longString(login), shortString('en_US')];
  await ask(methodFrame(METHOD.startOk, ...fields), METHOD.tune);
  socket.write(methodFrame(METHOD.tuneOk, u16(16), u32(FRAME_BYTES), u16(0)));
  // The broker's own port wants the name; the gateway takes it too.
  await ask(methodFrame(METHOD.open, shortString(vhost), Buffer.of(0, 0)), METHOD.openOk);
  await ask(method(0x0014_000a, shortString('')), 0x0014_000b);
  return { socket, ask };
}

/** Walks what the broker sends: each method's octets, and each body's in pieces. */
export function walk(on: { method(payload: Buffer): void; body(piece: Buffer): void }): (octets: Buffer) => void {
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

/** Calls back with what is written for one message of `payload` to `queue`, by the default exchange: the method and header, then the body in frames. */
export function publisher(socket: net.Socket, queue: string, bytes: number): (payload: Buffer) => void {
  const head = Buffer.concat([
    method(METHOD.publish, u16(0), shortString(''), shortString(queue), Buffer.of(0)),
    frame(FRAME.header, Buffer.concat([u16(60), u16(0), u64(bytes), u16(0)])),
  ]);
  return (payload) => {
    socket.cork();
    socket.write(head);
    for (let at = 0; at < bytes; at += FRAME_BYTES - 8) {
      const piece = payload.subarray(at, at + FRAME_BYTES - 8);
      socket.write(Buffer.concat([Buffer.of(FRAME.body, 0, 1), u32(piece.length)]));
      socket.write(piece);
      socket.write(Buffer.of(0xce));
    }
    socket.uncork();
  };
}
