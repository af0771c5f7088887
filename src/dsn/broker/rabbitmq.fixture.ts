/** A rabbitmq engine of a test's own, its leases and clients. */
import { createHash, randomBytes } from 'node:crypto';
import amqp from 'amqplib';
import type { Lease } from '../../api/contract/node-link.ts';
import { systemClock } from '../../clock.ts';
import type { NodeCertificate } from '../certificate/node-certificate.ts';
import { testLease } from '../lease.fixture.ts';
import type { Broker, BrokerEvent } from './broker.ts';
import { rabbitProgram } from './rabbitmq/rabbit-server.ts';
import { type RabbitmqBroker, rabbitmqBroker } from './rabbitmq-broker.ts';

export const MIB = 1_048_576;
type TestCertificate = Pick<NodeCertificate, 'context' | 'pem'>;
const NONE: TestCertificate = { context: () => undefined, pem: () => undefined };

export const whyNoRabbit =
  rabbitProgram() === undefined ? 'no RabbitMQ; Debian: apt-get install rabbitmq-server' : false;

export function testBroker(folder: string, watermarkBytes = 2048 * MIB, certificate: TestCertificate = NONE) {
  const events: BrokerEvent[] = [];
  let changes = 0;
  const broker: RabbitmqBroker = rabbitmqBroker({
    clock: systemClock,
    folder,
    routersFolder: `${folder}-l4`,
    external: '127.0.0.1',
    compute: '127.0.0.1',
    watermarkBytes,
    certificate,
    remembered: () => undefined,
    portRange: { from: 0, to: 0 },
    onEvent: (event) => void events.push(event),
    onChange: () => {
      changes += 1;
    },
    log: { info: () => undefined, warn: () => undefined },
  });
  return { broker, events, changes: () => changes };
}

export const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

export const credential = (name: string, role: 'producer' | 'consumer', expiresInMs = 600_000) => ({
  id: name,
  role,
  username: name,
  passwordDigest: digest(`${name}-password`),
  expiresAtMs: Date.now() + expiresInMs,
});

export const rabbitLease = (over: Partial<Lease> = {}): Lease =>
  testLease({
    stream: `str_${randomBytes(4).toString('hex')}`,
    engine: 'rabbitmq',
    overflow: 'refuse',
    bufferBytes: 64 * MIB,
    maxMessageBytes: 4 * MIB,
    maxConnections: 16,
    externalAddresses: ['127.0.0.0/8'],
    expiresAtMs: Date.now() + 600_000,
    credentials: [credential('pro', 'producer'), credential('con', 'consumer')],
    ...over,
  });

export const portOf = (broker: Broker, stream: string): number => broker.ports(stream)?.port ?? 0;

/** No recovery: what ends a connection is what the tests look at. */
export async function connect(
  port: number,
  name: string,
  options: Partial<amqp.Options.Connect> = {},
  socket: object = {},
) {
  const connection = await amqp.connect(
    {
      ...{ protocol: 'amqp', hostname: '127.0.0.1', port, username: name, password: `${name}-password`, vhost: '/' },
      ...options,
    },
    socket,
  );
  const errors: string[] = [];
  connection.on('error', (cause: Error) => void errors.push(cause.message));
  // Of a close by force (320) amqplib says nothing but there.
  connection.on('close', (cause?: Error) => void (cause === undefined || errors.push(cause.message)));
  return { connection, errors };
}

export async function until(what: string, probe: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
  for (const end = performance.now() + ms; !(await probe()); ) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
