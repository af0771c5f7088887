/** Opens streams in RabbitMQ, says their ports, and waits to be killed. Run by rabbitmq-broker.live.test.ts. */
import type { Lease } from '../../api/contract/node-link.ts';
import { portOf, testBroker, until } from './rabbitmq.fixture.ts';

const { folder, leases } = JSON.parse(process.argv[2] ?? '') as { folder: string; leases: Lease[] };
const { broker } = testBroker(folder);
for (const lease of leases) await broker.ensure(lease, []);
await until('all are ready', () => broker.observe().every((o) => o.state === 'ready'), 90_000);
process.stdout.write(JSON.stringify(leases.map((lease) => portOf(broker, lease.stream))));
setInterval(() => undefined, 60_000);
