/**
 * Whether a role of a stream may do what it is for, and may not do what it is not: tried in ways that put no message in and take none out. Redis over the connection it is given,
 * RabbitMQ over one of its own. Throws with what to do where a right is not as it should be.
 */
import type { Knock, Wire } from './knock-endpoint.ts';

export type Role = 'producer' | 'consumer';

const KEY = 'beamway-doctor';
const ECHO_BYTES = 65_536;
const SAMPLE_MS = 500;

const line = (octets: Buffer): number | undefined => {
  const end = octets.indexOf('\r\n');
  return end < 0 ? undefined : end + 2;
};
const words = (...list: readonly string[]): string =>
  `*${list.length}\r\n${list.map((w) => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join('')}`;

const WRONG =
  'the node and its broker disagree about this role: tell whoever runs the node, with the id of this stream';

export async function redisRights(wire: Pick<Wire, 'write' | 'read'>, role: Role): Promise<string> {
  const ask = async (...command: readonly string[]): Promise<string> => {
    wire.write(words(...command));
    return (await wire.read(line)).toString().trim();
  };
  // NOMKSTREAM: where there is no such stream nothing is made.
  const put = ['XADD', KEY, 'NOMKSTREAM', '*', 'm', 'x'];
  if (role === 'consumer') {
    const said = await ask(...put);
    if (!said.startsWith('-NOPERM')) throw new Error(`a consumer may publish (${said}): ${WRONG}`);
    const read = await ask('XLEN', KEY);
    if (read.startsWith('-')) throw new Error(`a consumer may not look (${read.slice(1)}): ${WRONG}`);
    return 'a consumer may read and may not publish';
  }
  // Rights are asked when a command is queued; discarded, it is never run.
  const began = await ask('MULTI');
  const queued = await ask(...put);
  await ask('DISCARD');
  if (began !== '+OK' || queued !== '+QUEUED') throw new Error(`a producer may not publish (${queued}): ${WRONG}`);
  const taken = await ask('XGROUP', 'CREATE', KEY, 'none', '$');
  if (!taken.startsWith('-NOPERM')) throw new Error(`a producer may do what consumers do (${taken}): ${WRONG}`);
  return 'a producer may publish and may not read';
}

/** One request at a time, there and back by ECHO, which Redis does not keep. */
export async function redisThroughput(wire: Pick<Wire, 'write' | 'read'>): Promise<string> {
  const text = 'x'.repeat(ECHO_BYTES);
  const whole = `$${ECHO_BYTES}\r\n`.length + ECHO_BYTES + 2;
  const began = performance.now();
  let octets = 0;
  while (performance.now() - began < SAMPLE_MS) {
    wire.write(words('ECHO', text));
    await wire.read((held) => (held[0] === 0x2d ? line(held) : held.length >= whole ? whole : undefined));
    octets += ECHO_BYTES;
  }
  const rate = octets / 1e6 / ((performance.now() - began) / 1000);
  return `${rate.toFixed(rate < 10 ? 1 : 0)} MB/s each way, one request of 64 KiB at a time; beamway stream bench measures more`;
}

/** To bind one exchange to another needs the right to write to it, as publishing does; and passes no message. */
export async function rabbitRights({ endpoint, username, password, authority }: Knock, role: Role): Promise<string> {
  const { connect } = (await import('amqplib')).default;
  const at = new URL(endpoint);
  const vhost = decodeURIComponent(at.pathname.slice(1)) || '/';
  const hostname = at.hostname.replace(/^\[|\]$/g, '');
  const to = { protocol: at.protocol.slice(0, -1), hostname, port: Number(at.port), username, password, vhost };
  const connection = await connect(to, authority ? { ca: [authority] } : {});
  connection.on('error', () => undefined);
  try {
    const may = async (act: (channel: Awaited<ReturnType<typeof connection.createChannel>>) => Promise<unknown>) => {
      const channel = await connection.createChannel();
      channel.on('error', () => undefined);
      try {
        await act(channel);
        await channel.close();
        return true;
      } catch (cause) {
        if (cause instanceof Error && /ACCESS_REFUSED|403/.test(cause.message)) return false;
        throw cause;
      }
    };
    const mayPublish = await may(async (channel) => {
      await channel.bindExchange('amq.fanout', 'amq.direct', KEY);
      await channel.unbindExchange('amq.fanout', 'amq.direct', KEY);
    });
    if (mayPublish !== (role === 'producer'))
      throw new Error(`a ${role} may ${mayPublish ? '' : 'not '}publish: ${WRONG}`);
    return role === 'producer' ? 'a producer may publish' : 'a consumer may not publish';
  } finally {
    await connection.close().catch(() => undefined);
  }
}
