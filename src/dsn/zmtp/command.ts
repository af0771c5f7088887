/**
 * ZMTP commands: handshake (HELLO WELCOME INITIATE READY ERROR; RFC 24/ZMTP-PLAIN, RFC 37) and heartbeats (PING PONG;
 * RFC 37, "Connection Heartbeating"). Bodies only; `encodeCommand` adds the frame header.
 * Owns no state. Every reader returns undefined for a malformed body and never throws.
 */
import { encodeFrame, FLAG_COMMAND } from './frame.ts';

export interface Command {
  readonly name: string;
  readonly data: Buffer;
}

/** Splits a command body into name and data. */
export function readCommand(body: Uint8Array): Command | undefined {
  const nameBytes = body[0];
  if (nameBytes === undefined || nameBytes === 0 || body.length < 1 + nameBytes) return undefined;
  const whole = Buffer.from(body.buffer, body.byteOffset, body.length);
  const name = whole.toString('latin1', 1, 1 + nameBytes);
  return /^[\x21-\x7e]+$/.test(name) ? { name, data: whole.subarray(1 + nameBytes) } : undefined;
}

export function encodeCommand(name: string, data: Uint8Array = new Uint8Array(0)): Buffer {
  return encodeFrame(FLAG_COMMAND, Buffer.concat([Buffer.from([name.length]), Buffer.from(name, 'latin1'), data]));
}

/** RFC 24: `hello = command-size %d5 "HELLO" username password`, each an octet of length and that many octets. */
export function readHello(data: Buffer): { readonly username: string; readonly password: string } | undefined {
  const username = readShort(data, 0);
  if (username === undefined) return undefined;
  const password = readShort(data, username.end);
  if (password === undefined || password.end !== data.length) return undefined;
  return { username: username.text, password: password.text };
}

export function encodeHello(username: string, password: string): Buffer {
  const fields = [username, password].flatMap((text) => [Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]);
  return encodeCommand('HELLO', Buffer.concat(fields));
}

function readShort(data: Buffer, at: number): { readonly text: string; readonly end: number } | undefined {
  const length = data[at];
  if (length === undefined || at + 1 + length > data.length) return undefined;
  return { text: data.toString('utf8', at + 1, at + 1 + length), end: at + 1 + length };
}

/** `metadata = *property; property = name value`: an octet of length and a name, four octets of length and a value. */
export function readMetadata(data: Buffer): ReadonlyMap<string, Buffer> | undefined {
  const properties = new Map<string, Buffer>();
  let at = 0;
  while (at < data.length) {
    const nameBytes = data[at];
    if (nameBytes === undefined || nameBytes === 0) return undefined;
    const valueAt = at + 1 + nameBytes + 4;
    if (valueAt > data.length) return undefined;
    const end = valueAt + data.readUInt32BE(valueAt - 4);
    if (end > data.length) return undefined;
    properties.set(data.toString('latin1', at + 1, at + 1 + nameBytes).toLowerCase(), data.subarray(valueAt, end));
    at = end;
  }
  return properties;
}

export function encodeMetadata(properties: Readonly<Record<string, string>>): Buffer {
  const fields = Object.entries(properties).flatMap(([name, value]) => {
    const lengths = Buffer.alloc(4);
    lengths.writeUInt32BE(Buffer.byteLength(value));
    return [Buffer.from([name.length]), Buffer.from(name, 'latin1'), lengths, Buffer.from(value)];
  });
  return Buffer.concat(fields);
}

/** ERROR with a reason of at most 255 printable characters. libzmq takes "300", "400" and "500" for authentication failures. */
export function encodeError(reason: string): Buffer {
  const text = Buffer.from(reason.replace(/[^\x21-\x7e]/g, '_').slice(0, 255), 'latin1');
  return encodeCommand('ERROR', Buffer.concat([Buffer.from([text.length]), text]));
}

/** The PONG that answers a PING's data (two octets of time-to-live, then a context of at most 16 octets to be echoed). */
export function answerPing(data: Uint8Array): Buffer | undefined {
  return data.length < 2 || data.length > 18 ? undefined : encodeCommand('PONG', data.subarray(2));
}
