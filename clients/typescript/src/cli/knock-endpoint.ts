/**
 * Goes to a stream's endpoint as a client would, step by step, and says in words where it ends: name, connection, protocol, credential, delay. Takes and puts no message. Speaks as
 * much of ZMTP 3.1 (RFC 23, PLAIN: RFC 24), of Redis's protocol and of AMQP 0-9-1 as that needs. Owns the one connection while it runs.
 */
import { lookup } from 'node:dns/promises';
import net from 'node:net';

export interface Step {
  readonly step: string;
  readonly outcome: 'ok' | 'failed';
  /** For a person; where it failed, what to do. */
  readonly detail: string;
  readonly ms: number;
}

export interface Knock {
  readonly endpoint: string;
  readonly username: string;
  readonly password: string;
}

const STEP_MS = 5000;
const PINGS = 5;

const ENGINES: ReadonlyMap<string, 'redis' | 'relay' | 'rabbitmq'> = new Map([
  ['redis:', 'redis'],
  ['tcp:', 'relay'],
  ['amqp:', 'rabbitmq'],
]);

/** Ends with the first step that failed. Never throws. */
export async function knock({ endpoint, username, password }: Knock, on: (step: Step) => void): Promise<boolean> {
  const at = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const engine = ENGINES.get(at?.protocol ?? '');
  const tell = async <T>(step: string, act: () => Promise<readonly [T, string]>): Promise<T | undefined> => {
    const began = performance.now();
    const ms = (): number => Math.round((performance.now() - began) * 10) / 10;
    try {
      const [value, detail] = await act();
      on({ step, outcome: 'ok', detail, ms: ms() });
      return value;
    } catch (cause) {
      on({ step, outcome: 'failed', detail: cause instanceof Error ? cause.message : String(cause), ms: ms() });
      return undefined;
    }
  };
  const address = await tell('name', async () => {
    if (at === undefined || engine === undefined) throw new Error(`${endpoint} is no endpoint that this program knows`);
    const host = at.hostname.replace(/^\[|\]$/g, '');
    const found = await lookup(host).catch(() => {
      throw new Error(`${host} has no address here: ask whoever runs your network's DNS`);
    });
    return [found.address, `${host} is ${found.address}`] as const;
  });
  if (address === undefined || at === undefined) return false;
  const wire = await tell('connection', async () => {
    const opened = await connect(address, Number(at.port));
    return [opened, `from ${opened.from} to ${address}:${at.port}`] as const;
  });
  if (wire === undefined) return false;
  try {
    const admitted = await tell('credential', async () => {
      const said =
        engine === 'redis'
          ? await authRedis(wire, username, password)
          : engine === 'rabbitmq'
            ? await startAmqp(wire, username, password)
            : await helloZmtp(wire, username, password);
      return [true, said] as const;
    });
    if (admitted === undefined) return false;
    if (engine !== 'redis') return true;
    return (await tell('delay', async () => [true, await pingRedis(wire)] as const)) === true;
  } finally {
    wire.close();
  }
}

interface Wire {
  readonly from: string;
  write(octets: Uint8Array | string): void;
  /** What has come, once `enough` says so; it is taken away. */
  read(enough: (octets: Buffer) => number | undefined): Promise<Buffer>;
  close(): void;
}

function connect(host: string, port: number): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, timeout: STEP_MS });
    let held: Buffer = Buffer.alloc(0);
    let ended = '';
    let look = (): void => undefined;
    socket.on('data', (octets: Buffer) => {
      held = Buffer.concat([held, octets]);
      look();
    });
    socket.on('timeout', () => socket.destroy(new Error('nothing was answered in 5 s')));
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      ended = plain(cause, `${host}:${port}`);
      reject(new Error(ended));
    });
    socket.on('close', () => {
      ended ||= 'the other end closed the connection without a word';
      look();
    });
    socket.on('connect', () =>
      resolve({
        from: `${socket.localAddress}`,
        write: (octets) => void socket.write(octets),
        read: (enough) =>
          new Promise((got, failed) => {
            look = () => {
              const count = enough(held);
              if (count !== undefined) {
                const taken = held.subarray(0, count);
                held = held.subarray(count);
                look = () => undefined;
                got(taken);
              } else if (ended !== '') failed(new Error(ended));
            };
            look();
          }),
        close: () => socket.destroy(),
      }),
    );
  });
}

function plain(cause: NodeJS.ErrnoException, where: string): string {
  switch (cause.code) {
    case 'ECONNREFUSED':
      return `nobody listens at ${where}: the stream may have been released, or its node be restarting`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `there is no way to ${where} from here: ask for a route, or run this where the data comes from`;
    case 'ETIMEDOUT':
      return `${where} does not answer: a firewall drops it, most likely`;
    case 'ECONNRESET':
      return `${where} cut the connection: it admits other addresses only, or speaks something else`;
    default:
      return cause.message;
  }
}

const line = (octets: Buffer): number | undefined => {
  const end = octets.indexOf('\r\n');
  return end < 0 ? undefined : end + 2;
};
const words = (...list: readonly string[]): string =>
  `*${list.length}\r\n${list.map((w) => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join('')}`;

async function authRedis(wire: Wire, username: string, password: string): Promise<string> {
  wire.write(words('AUTH', username, password));
  const said = (await wire.read(line)).toString().trim();
  if (said === '+OK') return `${username} is let in`;
  throw new Error(said.startsWith('-') ? `refused: ${said.slice(1)}` : `it does not speak Redis: ${said.slice(0, 60)}`);
}

async function pingRedis(wire: Wire): Promise<string> {
  const times: number[] = [];
  for (let i = 0; i < PINGS; i++) {
    const began = performance.now();
    wire.write(words('PING'));
    await wire.read(line);
    times.push(performance.now() - began);
  }
  return `there and back in ${Math.min(...times).toFixed(2)} to ${Math.max(...times).toFixed(2)} ms`;
}

const GREETING_BYTES = 64;

/** Up to WELCOME: a client that says READY too would be a producer or consumer from then on. */
async function helloZmtp(wire: Wire, username: string, password: string): Promise<string> {
  const greeting = Buffer.alloc(GREETING_BYTES);
  greeting[0] = 0xff;
  greeting[9] = 0x7f;
  greeting[10] = 3;
  greeting[11] = 1;
  greeting.write('PLAIN', 12, 'latin1');
  wire.write(greeting);
  const theirs = await wire.read((octets) => {
    if (octets.length > 0 && octets[0] !== 0xff) return octets.length;
    return octets.length >= GREETING_BYTES ? GREETING_BYTES : undefined;
  });
  if (theirs[0] !== 0xff || theirs[9] !== 0x7f) throw new Error('it does not speak ZMTP');
  const mechanism = theirs.toString('latin1', 12, 32).replaceAll('\0', '');
  if (mechanism !== 'PLAIN')
    throw new Error(`it wants the mechanism ${mechanism || 'NULL'}: this stream admits by address, not by credential`);
  const short = (text: string): Buffer => Buffer.concat([Buffer.of(Buffer.byteLength(text)), Buffer.from(text)]);
  const body = Buffer.concat([short('HELLO'), short(username), short(password)]);
  wire.write(Buffer.concat([Buffer.of(0x04, body.length), body]));
  const answer = await wire.read((octets) => {
    const size = octets[1];
    return size === undefined || octets.length < size + 2 ? undefined : size + 2;
  });
  const name = answer.toString('latin1', 3, 3 + (answer[2] ?? 0));
  if (name === 'WELCOME') return `${username} is let in`;
  const at = 3 + (answer[2] ?? 0);
  const reason = answer.toString('utf8', at + 1, at + 1 + (answer[at] ?? 0));
  throw new Error(name === 'ERROR' ? `refused: ${reason}` : 'it does not speak ZMTP with PLAIN');
}

const FRAME_OVERHEAD = 8;
const AMQP_HEADER = 'AMQP\0\0\x09\x01';

/** Up to Connection.Tune, which a broker says to whom it has let in. */
async function startAmqp(wire: Wire, username: string, password: string): Promise<string> {
  wire.write(Buffer.from(AMQP_HEADER, 'latin1'));
  const start = await wire.read(frameEnd);
  if (methodIn(start) !== '10.10') throw new Error('it does not speak AMQP 0-9-1');
  const long = (text: string): Buffer => {
    const octets = Buffer.from(text);
    const head = Buffer.alloc(4);
    head.writeUInt32BE(octets.length);
    return Buffer.concat([head, octets]);
  };
  const short = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
  const fields = [long(''), short('PLAIN'), long(`\0${username}\0${password}`), short('en_US')];
  const payload = Buffer.concat([Buffer.of(0, 10, 0, 11), ...fields]);
  const head = Buffer.alloc(7);
  head[0] = 1;
  head.writeUInt32BE(payload.length, 3);
  wire.write(Buffer.concat([head, payload, Buffer.of(0xce)]));
  const answer = await wire.read(frameEnd);
  if (methodIn(answer) === '10.30') return `${username} is let in`;
  if (methodIn(answer) !== '10.50') throw new Error('it does not speak AMQP 0-9-1');
  throw new Error(`refused: ${answer.toString('utf8', 14, 14 + (answer[13] ?? 0))}`);
}

function frameEnd(octets: Buffer): number | undefined {
  // Whoever answers with something else is told so by what reads it.
  if (octets.length > 0 && octets[0] !== 1) return octets.length;
  if (octets.length < 7) return undefined;
  const end = octets.readUInt32BE(3) + FRAME_OVERHEAD;
  return octets.length >= end ? end : undefined;
}

const methodIn = (frame: Buffer): string =>
  frame[0] === 1 && frame.length >= 11 ? `${frame.readUInt16BE(7)}.${frame.readUInt16BE(9)}` : '';
