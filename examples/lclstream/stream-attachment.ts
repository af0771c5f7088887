// Reads a stream attachment: the file that tells a program where its streams are and with which credentials it may use them.
// The same shape in a job (path in BEAMWAY_STREAMS) and at the beamline (--streams FILE). Owns no state. README has the format.
import { readFile, stat } from 'node:fs/promises';

export type StreamRole = 'producer' | 'consumer';
export type Delivery = 'at-most-once' | 'redeliver';

export type StreamAttachment = {
  readonly role: StreamRole;
  /** ZeroMQ endpoint to connect to, e.g. tcp://127.0.0.1:5555. */
  readonly endpoint: string;
  readonly username: string;
  readonly password: string;
  readonly delivery: Delivery;
};

export type StreamAttachments = Readonly<Record<string, StreamAttachment>>;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(stream: Record<string, unknown>, key: string, where: string): string {
  const value = stream[key];
  // The value itself is never part of a message: it may be the password.
  if (typeof value !== 'string' || value === '') throw new Error(`${where}.${key} must be a non-empty string`);
  return value;
}

function parseStream(value: unknown, where: string): StreamAttachment {
  if (!isRecord(value)) throw new Error(`${where} must be an object`);
  const role = text(value, 'role', where);
  const delivery = text(value, 'delivery', where);
  if (role !== 'producer' && role !== 'consumer') throw new Error(`${where}.role must be producer or consumer`);
  if (delivery !== 'at-most-once' && delivery !== 'redeliver') {
    throw new Error(`${where}.delivery must be at-most-once or redeliver`);
  }
  const endpoint = text(value, 'endpoint', where);
  if (!/^tcp:\/\/\S+:\d{1,5}$/.test(endpoint)) throw new Error(`${where}.endpoint must look like tcp://ADDRESS:PORT`);
  const [username, password] = [text(value, 'username', where), text(value, 'password', where)];
  return { role, endpoint, username, password, delivery };
}

/** Parses the JSON of an attachment file; throws an Error that names the field. Unknown fields are left alone. */
export function parseStreamAttachments(json: string): StreamAttachments {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new Error('stream attachment is not JSON');
  }
  if (!isRecord(value) || !isRecord(value['streams'])) throw new Error('stream attachment has no object "streams"');
  const entries = Object.entries(value['streams']);
  return Object.fromEntries(entries.map(([name, stream]) => [name, parseStream(stream, `streams.${name}`)]));
}

/** Reads an attachment file; refuses one that others may read, because it holds passwords. */
export async function readStreamAttachments(path: string): Promise<StreamAttachments> {
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0)
    throw new Error(`${path} may be read by others (mode ${(mode & 0o777).toString(8)}); use 600`);
  return parseStreamAttachments(await readFile(path, 'utf8'));
}

/** The named stream, which must have the given role. */
export function pickStream(streams: StreamAttachments, name: string, role: StreamRole): StreamAttachment {
  const stream = streams[name];
  if (!stream) throw new Error(`stream attachment has no stream ${name}`);
  if (stream.role !== role) throw new Error(`stream ${name} is attached as ${stream.role}, ${role} is needed`);
  return stream;
}
