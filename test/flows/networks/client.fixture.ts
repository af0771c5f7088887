/** One client in a namespace: goes to an endpoint with a credential, asks for one thing, and says `in`, or why not, in one line. */
import net from 'node:net';
import { createClient } from '@redis/client';
import amqp from 'amqplib';

export interface ClientOrders {
  readonly endpoint: string;
  readonly username: string;
  readonly authority: string;
}

const WAIT_MS = 6000;
const { endpoint, username, authority } = JSON.parse(process.argv[2] ?? '') as ClientOrders;
const { protocol, hostname, port, pathname } = new URL(endpoint);
const password = `${username}-password`;

async function redis(): Promise<void> {
  const socket = {
    tls: true,
    ca: authority,
    host: hostname,
    port: Number(port),
    reconnectStrategy: false,
    connectTimeout: WAIT_MS,
  } as const;
  const client = createClient({ username, password, socket });
  client.on('error', () => undefined);
  await client.connect();
  await client.ping();
}

async function rabbitmq(): Promise<void> {
  const vhost = pathname.slice(1) || '/';
  const to = { protocol: 'amqps', hostname, port: Number(port), username, password, vhost };
  const connection = await amqp.connect(to, { ca: [authority], timeout: WAIT_MS });
  connection.on('error', () => undefined);
  await (await connection.createChannel()).checkQueue('frames');
}

const bare = (): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ host: hostname, port: Number(port), timeout: WAIT_MS / 3 });
    socket.on('connect', () => resolve());
    socket.on('timeout', () => reject(new Error('no answer')));
    socket.on('error', reject);
  });

const acts: Readonly<Record<string, () => Promise<void>>> = { 'rediss:': redis, 'amqps:': rabbitmq, 'tcp:': bare };
const said = await (acts[protocol] ?? bare)().then(
  () => 'in',
  (cause: unknown) => `out: ${cause instanceof Error ? cause.message : String(cause)}`,
);
process.stdout.write(`${said}\n`);
process.exit(0);
