/** An agent with a Redis of its own and a control plane that is a file, as a process: its streams in one JSON line a turn. The test gives it a clock or a disk that cannot be relied on. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ObservedStream, SyncAnswer } from '../api/contract/node-link.ts';
import { systemClock } from '../clock.ts';
import { agent } from './agent.ts';
import { brokersByEngine } from './broker/brokers-by-engine.ts';
import { redisBroker } from './broker/redis-broker.ts';
import { leaseFile } from './lease-file.ts';

export interface TroubleOrders {
  readonly folder: string;
  /** While this file is there, the control plane answers with the version and leases in it. */
  readonly linkedWhile: string;
}

export interface TroubleTurn {
  readonly nowMs: number;
  readonly streams: readonly Pick<ObservedStream, 'stream' | 'state' | 'endpoints' | 'reason'>[];
}

const { folder, linkedWhile } = JSON.parse(process.argv[2] ?? '') as TroubleOrders;
const quiet = { info: () => undefined, warn: (_: object, text: string) => void process.stderr.write(`${text}\n`) };
const broker = brokersByEngine([
  redisBroker({
    ...{ clock: systemClock, folder: join(folder, 'redis'), external: '127.0.0.1', compute: '127.0.0.1' },
    certificate: { context: () => undefined },
    remembered: () => undefined,
    portRange: { from: 0, to: 0 },
    onEvent: () => undefined,
    log: quiet,
  }),
]);
const it = agent({
  clock: systemClock,
  file: leaseFile(folder, () => undefined),
  broker,
  link: {
    async sync(report) {
      const streams = report.streams.map(({ stream, state, endpoints, reason }) => ({
        stream,
        state,
        endpoints,
        reason,
      }));
      process.stdout.write(`${JSON.stringify({ nowMs: Date.now(), streams } satisfies TroubleTurn)}\n`);
      await new Promise((resolve) => setTimeout(resolve, 100));
      try {
        const answer = JSON.parse(readFileSync(linkedWhile, 'utf8')) as SyncAnswer;
        const leases = report.knownVersion < answer.version ? answer.leases : null;
        return { kind: 'answered', answer: { ...answer, leases } };
      } catch {
        return { kind: 'down', detail: 'the test says so' };
      }
    },
    certify: () => Promise.reject(new Error('none here')),
  },
  certificate: { authorityPem: () => undefined, renew: async () => false },
  claimUrl: () => 'http://127.0.0.1:1/claim',
  log: quiet,
});
process.stdin.resume();
process.stdin.on('end', () => void it.stop().then(() => process.exit(0)));
await it.run();
