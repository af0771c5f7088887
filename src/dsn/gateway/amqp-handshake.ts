/**
 * The beginning of an AMQP 0-9-1 connection, both sides of it, as data: the client's credential is judged here, the broker is logged in to in its place, and the name of the virtual
 * host is written in by us, so that nobody can ask for another's. What was agreed (frame size) is the client's and the broker's own. Pure but for `judge`; no socket here.
 */
import {
  closeFrame,
  FRAME,
  type Frame,
  longString,
  METHOD,
  methodFrame,
  methodOf,
  PROTOCOL_HEADER,
  REPLY,
  readFrame,
  readLongString,
  readShortString,
  shortString,
} from '../amqp/index.ts';
import type { Grant, Handshake, Judge, Step, Upstream } from './protocol.ts';

export interface AmqpTerms {
  /** The stream's; a client may leave it out, or name it. */
  readonly vhost: string;
  /** Connection.Start's server properties, as the broker behind says them: a table, without its length. */
  readonly serverProperties: Buffer;
}

export interface AmqpHandshake extends Handshake {
  /** Agreed between client and broker; 0: no limit. Known once it is joined. */
  maxFrameBytes(): number;
  /** As the client agreed to; 0: none. */
  heartbeatSeconds(): number;
}

/** What RabbitMQ itself takes before a connection is open, and what it is sent by us. */
const MOST_FRAME = 4096;
/** Of what a frame may be agreed to hold at most: the specification's least. */
const LEAST_FRAME = 4096;
const PLAIN = Buffer.from('PLAIN');
const LOCALE = Buffer.from('en_US');
const MORE: Step = { next: { kind: 'more' } };

type Stage = 'header' | 'start-ok' | 'broker' | 'tune-ok' | 'open' | 'opening';

export function amqpHandshake(terms: AmqpTerms, judge: Judge, upstream: (grant: Grant) => Upstream): AmqpHandshake {
  let stage: Stage = 'header';
  let fromClient: Buffer = Buffer.alloc(0);
  let fromBroker: Buffer = Buffer.alloc(0);
  let login: Upstream | undefined;
  let properties: Buffer = Buffer.alloc(0);
  let held: Buffer = Buffer.alloc(0);
  let maxFrameBytes = 0;
  let heartbeatSeconds = 0;
  /** What the broker offered in Tune; 0: no limit. */
  let offered = { channels: 0, frameBytes: 0 };

  const refused = (code: number, reason: string): Step => ({
    toClient: closeFrame(code, reason),
    next: { kind: 'refused', reason },
  });
  const startOk = (payload: Buffer): Step => {
    const table = readLongString(payload, 4);
    const mechanism = table === undefined ? undefined : readShortString(payload, 8 + table.length);
    const response =
      table === undefined || mechanism === undefined
        ? undefined
        : readLongString(payload, 9 + table.length + mechanism.length);
    if (table === undefined || mechanism === undefined || response === undefined)
      return refused(REPLY.frameError, 'Connection.StartOk cannot be read');
    if (!mechanism.equals(PLAIN)) return refused(REPLY.accessRefused, 'ACCESS_REFUSED - only PLAIN is taken here');
    const [, username = '', password = '', ...more] = response.toString('utf8').split('\0');
    if (more.length > 0) return refused(REPLY.accessRefused, 'ACCESS_REFUSED - the credential cannot be read');
    const verdict = judge(username, password);
    if (!verdict.ok) {
      // The code first, as RabbitMQ says it: client libraries look for it.
      return {
        ...refused(REPLY.accessRefused, `ACCESS_REFUSED - ${verdict.reason}`),
        next: { kind: 'refused', reason: verdict.reason },
      };
    }
    login = upstream(verdict.grant);
    properties = Buffer.from(table);
    stage = 'broker';
    return { next: { kind: 'join', grant: verdict.grant, login } };
  };
  const tuneOk = (frame: Frame): Step => {
    if (frame.payload.length < 12) return refused(REPLY.frameError, 'Connection.TuneOk cannot be read');
    maxFrameBytes = frame.payload.readUInt32BE(6);
    heartbeatSeconds = frame.payload.readUInt16BE(10);
    // RabbitMQ closes without a word here; who is told "try again" would, for ever.
    const wrong =
      beyond('frame_max', maxFrameBytes, [LEAST_FRAME, offered.frameBytes]) ??
      beyond('channel_max', frame.payload.readUInt16BE(4), [1, offered.channels]);
    if (wrong !== undefined) return refused(REPLY.notAllowed, `NOT_ALLOWED - ${wrong}`);
    stage = 'open';
    return { toBroker: methodFrame(METHOD.tuneOk, frame.payload.subarray(4)), next: { kind: 'more' } };
  };
  const open = (payload: Buffer, rest: Buffer): Step => {
    const name = readShortString(payload, 4)?.toString('utf8');
    if (name !== undefined && name !== '' && name !== '/' && name !== terms.vhost)
      return refused(
        REPLY.notAllowed,
        `NOT_ALLOWED - this stream has one virtual host, ${terms.vhost}: leave the name out of the address`,
      );
    stage = 'opening';
    held = Buffer.from(rest);
    const asked = methodFrame(METHOD.open, shortString(terms.vhost), Buffer.of(0, 0));
    return { toBroker: asked, next: { kind: 'more' }, hold: true };
  };
  /** One frame of the client's in the stage it is in; `rest` is what came behind it. */
  const clientSays = (frame: Frame, rest: Buffer): Step => {
    if (frame.type === FRAME.heartbeat) return MORE;
    const method = methodOf(frame);
    if (frame.channel !== 0 || method === 0) return refused(REPLY.frameError, 'a frame before the connection is open');
    if (method === METHOD.close)
      return { toClient: methodFrame(METHOD.closeOk), next: { kind: 'refused', reason: 'the client closed' } };
    if (stage === 'start-ok' && method === METHOD.startOk) return startOk(frame.payload);
    if (stage === 'tune-ok' && method === METHOD.tuneOk) return tuneOk(frame);
    if (stage === 'open' && method === METHOD.open) return open(frame.payload, rest);
    return refused(REPLY.frameError, 'a method out of turn before the connection is open');
  };
  const brokerSays = (frame: Frame, rest: Buffer): Step => {
    if (frame.type === FRAME.heartbeat) return MORE;
    const whole = methodFrame(methodOf(frame), frame.payload.subarray(4));
    switch (methodOf(frame)) {
      case METHOD.start:
        return {
          toBroker: methodFrame(
            METHOD.startOk,
            longString(properties),
            shortString('PLAIN'),
            longString(Buffer.from(`\0${login?.username ?? ''}\0${login?.password ?? ''}`)),
            shortString('en_US'),
          ),
          next: { kind: 'more' },
        };
      case METHOD.tune:
        if (frame.payload.length < 12) return refused(REPLY.frameError, 'the broker’s Connection.Tune cannot be read');
        offered = { channels: frame.payload.readUInt16BE(4), frameBytes: frame.payload.readUInt32BE(6) };
        stage = 'tune-ok';
        return { toClient: whole, next: { kind: 'more' } };
      case METHOD.openOk:
        return { toClient: whole, next: { kind: 'joined', up: held, down: Buffer.from(rest) } };
      case METHOD.close: {
        const text = readShortString(frame.payload, 6)?.toString('utf8') ?? '';
        // What it says of an open is the client's to know (too many connections); of our login it is not.
        if (stage === 'opening') return { toClient: whole, next: { kind: 'refused', reason: `the broker: ${text}` } };
        return refused(REPLY.notAllowed, 'the broker does not take the gateway');
      }
      default:
        return refused(REPLY.frameError, 'the broker said something out of turn');
    }
  };
  /** Reads whole frames from what is held until a step says more than "more", gathering what is to be sent. */
  const each = (octets: Buffer, say: (frame: Frame, rest: Buffer) => Step): { step: Step; left: Buffer } => {
    const toClient: Uint8Array[] = [];
    const toBroker: Uint8Array[] = [];
    for (let at = 0; ; ) {
      const read = readFrame(octets, at, MOST_FRAME);
      const rest = read.kind === 'frame' ? octets.subarray(read.end) : octets.subarray(at);
      let step: Step | undefined;
      if (read.kind === 'violation') step = refused(REPLY.frameError, read.reason);
      else if (read.kind === 'frame') step = say(read.frame, rest);
      if (step?.toClient !== undefined) toClient.push(Buffer.from(step.toClient as Uint8Array));
      if (step?.toBroker !== undefined) toBroker.push(Buffer.from(step.toBroker as Uint8Array));
      if (step === undefined || step.next.kind !== 'more' || step.hold === true) {
        const gathered = { ...(step ?? MORE), toClient: Buffer.concat(toClient), toBroker: Buffer.concat(toBroker) };
        return { step: gathered, left: Buffer.from(rest) };
      }
      at = octets.length - rest.length;
    }
  };

  return {
    fromClient(octets) {
      fromClient = Buffer.concat([fromClient, octets]);
      if (stage === 'header') {
        const known = fromClient.subarray(0, PROTOCOL_HEADER.length);
        if (!PROTOCOL_HEADER.subarray(0, known.length).equals(known))
          // The specification's answer to a client of another version: ours, and the end.
          return { toClient: PROTOCOL_HEADER, next: { kind: 'refused', reason: 'not AMQP 0-9-1' } };
        if (known.length < PROTOCOL_HEADER.length) return MORE;
        fromClient = fromClient.subarray(PROTOCOL_HEADER.length);
        stage = 'start-ok';
        if (fromClient.length === 0) return { toClient: startFrame(terms), next: { kind: 'more' } };
        const { step, left } = each(fromClient, clientSays);
        fromClient = left;
        const said = Buffer.from((step.toClient as Uint8Array | undefined) ?? []);
        return { ...step, toClient: Buffer.concat([startFrame(terms), said]) };
      }
      if (stage === 'broker' || stage === 'opening')
        return fromClient.length > MOST_FRAME
          ? refused(REPLY.frameError, 'too much before the connection is open')
          : MORE;
      const { step, left } = each(fromClient, clientSays);
      fromClient = left;
      return step;
    },
    brokerUp: () => ({ toBroker: PROTOCOL_HEADER, next: { kind: 'more' } }),
    fromBroker(octets) {
      fromBroker = Buffer.concat([fromBroker, octets]);
      const { step, left } = each(fromBroker, brokerSays);
      fromBroker = left;
      return step;
    },
    brokerAway: () => closeFrame(REPLY.forced, 'CONNECTION_FORCED - the stream is starting; try again'),
    maxFrameBytes: () => maxFrameBytes,
    heartbeatSeconds: () => heartbeatSeconds,
  };
}

/** What is wrong with a value agreed to, as RabbitMQ judges it; `most` 0: no limit. */
function beyond(name: string, value: number, [least, most]: readonly [number, number]): string | undefined {
  if (most !== 0 && (value === 0 || value > most)) return `${name} ${value} is more than the offered ${most}`;
  return value !== 0 && value < least ? `${name} ${value} is less than ${least}` : undefined;
}

/** Connection.Start: version 0-9, the broker's own properties, PLAIN only. */
const startFrame = ({ serverProperties }: AmqpTerms): Buffer =>
  methodFrame(METHOD.start, Buffer.of(0, 9), longString(serverProperties), longString(PLAIN), longString(LOCALE));

/** The server properties in a broker's Connection.Start; undefined where `octets` do not hold it whole yet. Throws Error where they are something else. */
export function serverPropertiesIn(octets: Buffer): Buffer | undefined {
  const read = readFrame(octets, 0, 65_536);
  if (read.kind === 'more') return undefined;
  if (read.kind === 'violation') throw new Error(read.reason);
  if (methodOf(read.frame) !== METHOD.start) throw new Error('the broker does not begin with Connection.Start');
  const table = readLongString(read.frame.payload, 6);
  if (table === undefined) throw new Error('Connection.Start cannot be read');
  return Buffer.from(table);
}
