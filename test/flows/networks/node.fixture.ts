/** A data streaming node's brokers inside its namespace: a stream for each engine and mode. Says where they are in one JSON line; ends, with all of them, when stdin closes. */
import { join } from 'node:path';
import type { Lease } from '../../../src/api/contract/node-link.ts';
import { systemClock } from '../../../src/clock.ts';
import { credential, rabbitLease, until } from '../../../src/dsn/broker/rabbitmq.fixture.ts';
import { brokersByEngine, nodeCertificate, rabbitmqBroker, redisBroker } from '../../../src/dsn/index.ts';
import { digestOf } from '../../../src/dsn/lease.fixture.ts';
import { makeAuthority, signNodeCertificate } from '../../../src/identity/authority/certificates.ts';

export interface NodeOrders {
  readonly folder: string;
  readonly external: string;
  readonly compute: string;
  readonly allowed: string;
}

export interface StreamAt {
  readonly name: string;
  readonly endpoints: Readonly<Record<string, string>>;
}

export interface NodeReady {
  readonly authority: string;
  readonly streams: readonly StreamAt[];
}

const orders = JSON.parse(process.argv[2] ?? '') as NodeOrders;
const { folder, external, compute, allowed } = orders;
const authority = await makeAuthority('networks', Date.now());
const certificate = nodeCertificate(join(folder, 'certificate.json'), 'dsn01', systemClock);
await certificate.renew(async (request) => {
  const of = { node: 'dsn01', addresses: [external, compute], hostnames: [], nowMs: Date.now() };
  const signed = await signNodeCertificate(authority, request, of);
  if (signed === undefined) throw new Error('not signed');
  const { certificatePem, expiresAtMs } = signed;
  return { certificate: certificatePem, authority: authority.certificatePem, expiresAtMs };
});
const quiet = { info: () => undefined, warn: (fields: object) => process.stderr.write(`${JSON.stringify(fields)}\n`) };
const common = {
  ...{ clock: systemClock, certificate, external, compute, portRange: { from: 0, to: 0 } },
  remembered: () => undefined,
  onEvent: () => undefined,
};
const broker = brokersByEngine([
  redisBroker({ ...common, folder: join(folder, 'redis'), log: quiet }),
  rabbitmqBroker({
    ...common,
    folder: join(folder, 'rabbitmq'),
    routersFolder: join(folder, 'l4'),
    watermarkBytes: 2 ** 31,
    onChange: () => undefined,
    log: quiet,
  }),
]);
const wanted: readonly (readonly [string, Partial<Lease>])[] = [
  ['redis l7', { engine: 'redis' }],
  ['rabbitmq l7', { mode: 'l7' }],
  ['rabbitmq direct', { mode: 'direct' }],
  ['rabbitmq l4', { mode: 'l4' }],
];
const leases = wanted.map(([name, over]): readonly [string, Lease] => {
  const id = name.replace(' ', '-');
  const credentials = [credential(`con-${id}`, 'consumer')];
  return [name, rabbitLease({ tls: true, externalAddresses: [allowed], credentials, ...over })];
});
for (const [name, lease] of leases) {
  const id = `job-${name.replace(' ', '-')}`;
  const local = {
    id,
    stream: lease.stream,
    role: 'consumer' as const,
    username: id,
    passwordDigest: digestOf(`${id}-password`),
  };
  await broker.ensure(lease, [local]);
}
await until(
  'all are ready',
  () => broker.observe().filter((o) => o.state === 'ready').length === leases.length,
  90_000,
);
const seen = new Map(broker.observe().map((o) => [o.stream, o.endpoints]));
const streams = leases.map(([name, lease]) => ({ name, endpoints: seen.get(lease.stream) ?? {} }));
process.stdout.write(`${JSON.stringify({ authority: authority.certificatePem, streams } satisfies NodeReady)}\n`);
process.stdin.resume();
process.stdin.on('end', async () => {
  for (const { stream } of broker.observe()) await broker.close(stream, 'the test is over');
  await broker.stop?.();
  process.exit(0);
});
