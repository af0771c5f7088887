/**
 * Composition root of the data plane: `beamway node`, one process per data streaming node. Imports neither the database nor the rest of
 * the control plane (a test proves it), so that it runs on a host that has neither.
 */
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from './clock.ts';
import {
  type Agent,
  agent,
  type BrokerEvent,
  brokersByEngine,
  leaseFile,
  nodeCertificate,
  openClaimServer,
  openLink,
  rabbitmqBroker,
  redisBroker,
  relayBroker,
} from './dsn/index.ts';
import { requireOwnAddress } from './own-address.ts';

export interface NodeOptions {
  readonly name: string;
  readonly stateDir: string;
  readonly linkFile: string;
  /** Addresses of the networks on this host; data listeners bind only there. */
  readonly external: string;
  readonly compute: string;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly logLevel: string;
}

/** Of the host's memory, above which a RabbitMQ stops its publishers: RabbitMQ's own default. */
const RABBITMQ_SHARE = 0.4;

export interface RunningNode {
  readonly claimUrl: string;
  stop(): Promise<void>;
}

/** Throws where an address is not of this host: a listener on the wrong interface is worse than none. */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  for (const address of [options.external, options.compute]) await requireOwnAddress(address);
  const log = pino({ level: options.logLevel, base: { part: 'node', node: options.name } }, pino.destination(2));
  const file = leaseFile(options.stateDir, (detail) =>
    log.error({ detail }, 'the lease file is damaged; starting without it'),
  );
  const { claimPort } = file.read();
  const holder: { agent?: Agent; claimUrl: string } = { claimUrl: '' };
  const certificate = nodeCertificate(join(options.stateDir, 'certificate.json'), options.name, systemClock);
  const common = {
    certificate,
    clock: systemClock,
    external: options.external,
    compute: options.compute,
    remembered: (stream: string) => holder.agent?.ports(stream),
    usedBefore: (stream: string) => holder.agent?.usedBefore(stream),
    portRange: options.portRange,
    onEvent: (event: BrokerEvent) => holder.agent?.note(event),
  };
  const broker = brokersByEngine([
    relayBroker(common),
    redisBroker({ ...common, folder: join(options.stateDir, 'redis'), log }),
    rabbitmqBroker({
      ...common,
      folder: join(options.stateDir, 'rabbitmq'),
      routersFolder: join(options.stateDir, 'l4'),
      watermarkBytes: Math.floor(totalmem() * RABBITMQ_SHARE),
      onChange: () => holder.agent?.hurry(),
      log,
    }),
  ]);
  const running = agent({
    clock: systemClock,
    file,
    broker,
    certificate,
    link: openLink(options.linkFile, options.name),
    claimUrl: () => holder.claimUrl,
    log,
  });
  holder.agent = running;
  const claims = await openClaimServer({ host: options.compute, port: claimPort }, (request) =>
    running.exchange(request),
  );
  holder.claimUrl = claims.url;
  running.run().catch((cause: unknown) => {
    log.fatal({ err: cause }, 'the agent failed');
    process.exitCode = 1;
    process.kill(process.pid, 'SIGTERM');
  });
  log.info({ claimUrl: claims.url, state: join(options.stateDir, 'leases.json') }, 'node started');
  return {
    claimUrl: claims.url,
    async stop() {
      await running.stop();
      await claims.close();
    },
  };
}
