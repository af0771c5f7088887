/** AMQP 0-9-1 frames and the few methods of class `connection` that a gateway says or reads itself (specification 0-9-1, 2.3.5 and 4.2). Pure. */

export const FRAME = { method: 1, header: 2, body: 3, heartbeat: 8 } as const;
export const FRAME_END = 0xce;
/** Type, channel, size; and the end octet. */
export const FRAME_OVERHEAD = 8;
export const PROTOCOL_HEADER = Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1]);

/** `class << 16 | method` */
export const METHOD = {
  start: 0x000a_000a,
  startOk: 0x000a_000b,
  tune: 0x000a_001e,
  tuneOk: 0x000a_001f,
  open: 0x000a_0028,
  openOk: 0x000a_0029,
  close: 0x000a_0032,
  closeOk: 0x000a_0033,
  publish: 0x003c_0028,
  deliver: 0x003c_003c,
  getOk: 0x003c_0047,
  nack: 0x003c_0078,
  confirmSelect: 0x0055_000a,
} as const;

/** Reply codes of Connection.Close. */
export const REPLY = {
  contentTooLarge: 311,
  forced: 320,
  accessRefused: 403,
  frameError: 501,
  notAllowed: 530,
} as const;

export interface Frame {
  readonly type: number;
  readonly channel: number;
  readonly payload: Buffer;
}

export type FrameRead =
  | { readonly kind: 'frame'; readonly frame: Frame; readonly end: number }
  | { readonly kind: 'more' }
  | { readonly kind: 'violation'; readonly reason: string };

/** One whole frame of at most `mostBytes`; for the handshake, where frames are small. */
export function readFrame(octets: Buffer, from: number, mostBytes: number): FrameRead {
  if (octets.length - from < 7) return { kind: 'more' };
  const size = octets.readUInt32BE(from + 3);
  if (size + FRAME_OVERHEAD > mostBytes)
    return {
      kind: 'violation',
      reason: `a frame of ${size + FRAME_OVERHEAD} octets before the connection is open; at most ${mostBytes}`,
    };
  const end = from + 7 + size;
  if (octets.length <= end) return { kind: 'more' };
  if (octets[end] !== FRAME_END) return { kind: 'violation', reason: 'a frame that does not end where it says' };
  const frame = {
    type: octets[from] ?? 0,
    channel: octets.readUInt16BE(from + 1),
    payload: octets.subarray(from + 7, end),
  };
  return { kind: 'frame', frame, end: end + 1 };
}

/** 0 where the frame is no method. */
export const methodOf = ({ type, payload }: Frame): number =>
  type === FRAME.method && payload.length >= 4 ? payload.readUInt32BE(0) : 0;

/** On channel 0. */
export function methodFrame(method: number, ...fields: readonly Uint8Array[]): Buffer {
  const size = 4 + fields.reduce((sum, field) => sum + field.length, 0);
  const head = Buffer.alloc(11);
  head[0] = FRAME.method;
  head.writeUInt32BE(size, 3);
  head.writeUInt32BE(method, 7);
  return Buffer.concat([head, ...fields, Buffer.of(FRAME_END)]);
}

/** Cut to what a short string can hold. */
export function shortString(text: string): Buffer {
  let octets = Buffer.from(text);
  for (let most = 255; octets.length > 255; most--) octets = Buffer.from(text.slice(0, most));
  return Buffer.concat([Buffer.of(octets.length), octets]);
}

export function longString(octets: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(octets.length);
  return Buffer.concat([length, octets]);
}

/** Undefined where it is longer than what is there. A table has the same shape. */
export function readLongString(payload: Buffer, at: number): Buffer | undefined {
  if (payload.length < at + 4) return undefined;
  const end = at + 4 + payload.readUInt32BE(at);
  return end > payload.length ? undefined : payload.subarray(at + 4, end);
}

export function readShortString(payload: Buffer, at: number): Buffer | undefined {
  const length = payload[at];
  if (length === undefined || at + 1 + length > payload.length) return undefined;
  return payload.subarray(at + 1, at + 1 + length);
}

/** Connection.Close with words for a person; no method is blamed. */
export function closeFrame(code: number, text: string): Buffer {
  const reply = Buffer.alloc(2);
  reply.writeUInt16BE(code);
  return methodFrame(METHOD.close, reply, shortString(text), Buffer.alloc(4));
}
