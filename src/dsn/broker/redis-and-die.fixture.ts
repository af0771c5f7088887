/** For tests: an agent's redis engine in a process of its own, to be killed. Argument: `{folder, leases}`. Prints its ports once all streams are open. */
import { writeSync } from 'node:fs';
import type { Lease } from '../../api/contract/node-link.ts';
import { systemClock } from '../../clock.ts';
import { redisBroker } from './redis-broker.ts';

const { folder, leases } = JSON.parse(process.argv[2] ?? '{}') as { readonly folder: string; readonly leases: Lease[] };
const broker = redisBroker({
  clock: systemClock,
  folder,
  external: '127.0.0.1',
  compute: '127.0.0.1',
  certificate: { context: () => undefined },
  remembered: () => undefined,
  portRange: { from: 0, to: 0 },
  onEvent: () => undefined,
  log: { warn: () => undefined },
});
for (const lease of leases) await broker.ensure(lease, []);
writeSync(1, `${JSON.stringify(leases.map((l) => broker.ports(l.stream)?.port))}\n`);
