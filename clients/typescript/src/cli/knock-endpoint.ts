/**
 * Goes to a stream's endpoint as a client would, step by step, and says in words where it ends: name, connection, protocol, credential, delay. Takes and puts no message. Speaks as
 * much of ZMTP 3.1 (RFC 23, PLAIN: RFC 24), of Redis's protocol and of AMQP 0-9-1 as that needs. Owns the one connection while it runs.
 */
import { lookup } from 'node:dns/promises';
import net from 'node:net';
import tls from 'node:tls';
import { type Role, rabbitRights, redisRights, redisThroughput } from './knock-rights.ts';
import { helloZmtp } from './zmtp-hello.ts';

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
  /** To verify an endpoint that speaks TLS with, PEM. */
  readonly authority?: string | null;
  /** Whose rights are looked at; absent: nobody's. */
  readonly role?: Role;
}

const STEP_MS = 5000;
const PINGS = 5;

const ENGINES: ReadonlyMap<string, 'redis' | 'relay' | 'rabbitmq'> = new Map([
  ['redis:', 'redis'],
  ['tcp:', 'relay'],
  ['amqp:', 'rabbitmq'],
  ['rediss:', 'redis'],
  ['amqps:', 'rabbitmq'],
]);

/** Ends with the first step that failed. Never throws. */
export async function knock(asked: Knock, on: (step: Step) => void): Promise<boolean> {
  const { endpoint, username, password, authority, role } = asked;
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
  const socket = await tell('connection', async () => {
    const opened = await connect(address, Number(at.port));
    return [opened, `from ${opened.localAddress} to ${address}:${at.port}`] as const;
  });
  if (socket === undefined) return false;
  let secured: net.Socket | undefined = socket;
  if (at.protocol === 'rediss:' || at.protocol === 'amqps:')
    secured = await tell('encryption', async () => {
      const done = await secure(socket, at.hostname.replace(/^\[|\]$/g, ''), authority);
      const name = done.getPeerCertificate().subject.CN;
      return [
        done,
        `${done.getProtocol()}, the certificate of ${String(name)} is by the facility's authority`,
      ] as const;
    });
  if (secured === undefined) {
    socket.destroy();
    return false;
  }
  const wire = wireOf(secured, `${address}:${at.port}`);
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
    const well = async (step: string, act: () => Promise<string>): Promise<boolean> =>
      (await tell(step, async () => [true, await act()] as const)) === true;
    // A relay has no rights beside the credential's role.
    if (engine === 'relay') return true;
    if (engine === 'rabbitmq') return role === undefined || (await well('rights', () => rabbitRights(asked, role)));
    if (role !== undefined && !(await well('rights', () => redisRights(wire, role)))) return false;
    if (!(await well('delay', () => pingRedis(wire)))) return false;
    return role === undefined || (await well('throughput', () => redisThroughput(wire)));
  } finally {
    wire.close();
  }
}

export interface Wire {
  write(octets: Uint8Array | string): void;
  /** What has come, once `enough` says so; it is taken away. */
  read(enough: (octets: Buffer) => number | undefined): Promise<Buffer>;
  close(): void;
}

function connect(host: string, port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, timeout: STEP_MS });
    socket.on('timeout', () => socket.destroy(new Error('nothing was answered in 5 s')));
    socket.once('error', (cause: NodeJS.ErrnoException) => reject(new Error(plain(cause, `${host}:${port}`))));
    socket.once('connect', () => resolve(socket));
  });
}

/** TLS 1.3, the other end verified by the facility's own authority. */
function secure(socket: net.Socket, host: string, authority: string | null | undefined): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const secured = tls.connect({
      socket,
      minVersion: 'TLSv1.3',
      ...(net.isIP(host) === 0 ? { servername: host } : {}),
      checkServerIdentity: (_, certificate) => tls.checkServerIdentity(host, certificate),
      ...(authority ? { ca: authority } : {}),
    });
    secured.once('secureConnect', () => resolve(secured));
    secured.once('error', (cause: NodeJS.ErrnoException) => reject(new Error(notSecure(cause, host))));
    secured.once('close', () =>
      reject(new Error('the other end closed the connection: it speaks no TLS, or has no certificate yet')),
    );
  });
}

function notSecure(cause: NodeJS.ErrnoException, host: string): string {
  const code = cause.code ?? '';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `its certificate is not for ${host}: somebody else answers there, or the facility's folder lacks this name (hostnames of the node)`;
  if (code === 'CERT_HAS_EXPIRED') return 'its certificate has expired: is the clock here right?';
  if (/SELF_SIGNED|UNABLE_TO|CERT_/.test(code))
    return `its certificate is not by the facility's authority: something between here and there terminates TLS, or the credential is of another facility (${code})`;
  return `no TLS 1.3 with it: ${code || cause.message}`;
}

function wireOf(socket: net.Socket, where: string): Wire {
  let held: Buffer = Buffer.alloc(0);
  let ended = '';
  let look = (): void => undefined;
  socket.on('data', (octets: Buffer) => {
    held = Buffer.concat([held, octets]);
    look();
  });
  socket.on('error', (cause: NodeJS.ErrnoException) => {
    ended = plain(cause, where);
  });
  socket.on('close', () => {
    ended ||= 'the other end closed the connection without a word';
    look();
  });
  return {
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
  };
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
