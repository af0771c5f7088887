/**
 * The rabbitmq engine behind the broker port: a virtual host for each stream on a RabbitMQ that is shared by the streams of one enclave and stays warm, or on one of the stream's own
 * (`kind: dedicated`); before each, an application gateway. Admission is decided at the gateway, rights inside RabbitMQ by asking this node. Owns the open streams and, through their
 * folders, the RabbitMQs; those that an earlier run left are found and taken over, or ended.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lease, ObservedStream } from '../../api/contract/node-link.ts';
import type { Clock } from '../../clock.ts';
import type { NodeCertificate } from '../certificate/node-certificate.ts';
import { amqpProtocol } from '../gateway/amqp-protocol.ts';
import { type Gateway, openGateway } from '../gateway/open-gateway.ts';
import type { Broker, BrokerEvent, LocalCredential, StreamPorts } from './broker.ts';
import { judgeLease, unwantedIn } from './judge-lease.ts';
import { needCertificate } from './need-certificate.ts';
import { LEFT_BEHIND, observeClosed, observeGateway } from './observe-gateway.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { gatewayUser } from './rabbitmq/answer-callback.ts';
import { type KeptRabbit, keepRabbit } from './rabbitmq/keep-rabbit.ts';
import type { QueueSight } from './rabbitmq/management.ts';
import { isRunning, rabbitProgram } from './rabbitmq/rabbit-server.ts';

export interface RabbitmqBrokerDeps {
  readonly clock: Clock;
  /** A folder of the agent's own, mode 0700. */
  readonly folder: string;
  readonly external: string;
  readonly compute: string;
  /** RabbitMQ stops publishers above it; the buffers of its streams are at most 60 % of it. */
  readonly watermarkBytes: number;
  readonly certificate: Pick<NodeCertificate, 'context'>;
  readonly remembered: (stream: string) => StreamPorts | undefined;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly onEvent: (event: BrokerEvent) => void;
  /** A stream is as wanted now, or is not any more: without being asked. */
  readonly onChange: () => void;
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}

interface Held {
  readonly house: House;
  lease: Lease;
  local: readonly LocalCredential[];
  readonly used: Set<string>;
  gateway?: Gateway;
  sight: QueueSight;
}

/** A RabbitMQ and what it is for. */
interface House {
  readonly folder: string;
  readonly rabbit: KeptRabbit;
  /** Streams whose virtual host is to go as soon as it answers. */
  readonly unwanted: Set<string>;
  stopIdle: () => void;
}

const HANDSHAKE_MS = 10_000;
/** A shared RabbitMQ without a stream stays warm so long. */
const IDLE_MS = 3_600_000;
const MOST_OF_WATERMARK = 0.6;
const EMPTY: QueueSight = { buffered: 0, bufferedBytes: 0 };
const STARTING = 'its RabbitMQ is starting';

export interface RabbitmqBroker extends Broker {
  /** Ends the RabbitMQs too, which would stay warm otherwise. */
  stop(): Promise<void>;
}

export function rabbitmqBroker(deps: RabbitmqBrokerDeps): RabbitmqBroker {
  mkdirSync(deps.folder, { recursive: true, mode: 0o700 });
  const streams = new Map<string, Held>();
  const houses = new Map<string, House>();
  const alone = oneAtATime();
  /** The house of each stream that an earlier run left. */
  const left = new Map<string, string>();
  const empty: string[] = [];
  for (const key of readdirSync(deps.folder)) {
    const those = marked(join(deps.folder, key));
    for (const stream of those) left.set(stream, key);
    if (those.length === 0) empty.push(key);
  }

  const bufferOf = (house: House): number =>
    [...streams.values()].filter((s) => s.house === house).reduce((sum, s) => sum + s.lease.bufferBytes, 0);

  const houseOf = (key: string): House => {
    const known = houses.get(key);
    if (known !== undefined) return known;
    const folder = join(deps.folder, key);
    mkdirSync(join(folder, 'streams'), { recursive: true, mode: 0o700 });
    const unwanted = new Set<string>();
    const house: House = {
      folder,
      unwanted,
      stopIdle: () => undefined,
      rabbit: keepRabbit({
        folder,
        watermarkBytes: deps.watermarkBytes,
        clock: deps.clock,
        isOpen: (stream) => streams.has(stream),
        async onUp() {
          deps.log.info({ rabbitmq: key }, 'a RabbitMQ is up');
          for (const [stream, held] of streams)
            if (houses.get(key) === held.house) await alone(stream, () => bringUp(stream)).catch(said(stream));
          for (const stream of unwanted) await alone(stream, () => removeHost(house, stream)).catch(said(stream));
          deps.onChange();
        },
        onDown(why) {
          deps.log.warn({ rabbitmq: key, why }, 'a RabbitMQ is away; it is started again on its data');
          for (const [stream, held] of streams) {
            if (houses.get(key) !== held.house) continue;
            held.gateway?.cut(() => true, 'the broker was started again');
            deps.onEvent({ stream, kind: 'broker-lost', detail: { buffered: held.sight.buffered } });
          }
          deps.onChange();
        },
        onLook(sights) {
          for (const [stream, held] of streams)
            if (houses.get(key) === held.house) held.sight = sights.get(stream) ?? EMPTY;
        },
      }),
    };
    houses.set(key, house);
    return house;
  };
  const said = (stream: string) => (cause: unknown) =>
    deps.log.warn({ stream, err: cause }, 'a stream could not be brought up to date in RabbitMQ');

  /** Alone on its stream. Does nothing while RabbitMQ is away: it is asked again when it is there. */
  const bringUp = async (stream: string): Promise<void> => {
    const held = streams.get(stream);
    const server = held?.house.rabbit.server();
    if (held === undefined || server === undefined) return;
    await server.management.ensureHost({ ...held.lease });
    if (held.gateway !== undefined) return;
    held.gateway = await openGateway({
      hosts: [deps.external, deps.compute],
      port: deps.remembered(stream)?.port ?? 0,
      portRange: deps.portRange,
      clock: deps.clock,
      handshakeTimeoutMs: HANDSHAKE_MS,
      maxConnections: held.lease.maxConnections,
      tls: held.lease.tls ? deps.certificate.context : undefined,
      protocol: amqpProtocol({
        vhost: stream,
        serverProperties: () => (held.house.rabbit.server() ?? server).serverProperties,
        maxMessageBytes: held.lease.maxMessageBytes,
      }),
      judge(remoteAddress, username, password) {
        const asked = { username, password, remoteAddress, nowMs: deps.clock.now() };
        const verdict = judgeLease(held.lease, held.local, asked);
        if (verdict.ok) held.used.add(verdict.grant.credentialId);
        return verdict;
      },
      upstream: ({ role, credentialId }) => ({
        at: (held.house.rabbit.server() ?? server).amqp,
        username: gatewayUser(stream, role, credentialId),
        password: held.house.rabbit.gatewaySecret(),
      }),
      onEvent: (kind, detail) => deps.onEvent({ stream, kind, detail }),
    });
  };
  const removeHost = async (house: House, stream: string): Promise<void> => {
    const server = house.rabbit.server();
    if (server === undefined || streams.has(stream)) return;
    await server.management.removeHost(stream);
    house.unwanted.delete(stream);
    left.delete(stream);
    rmSync(join(house.folder, 'streams', stream), { force: true });
  };
  /** A dedicated RabbitMQ ends with its stream; a shared one stays warm for a while. */
  const settle = async (house: House, key: string): Promise<void> => {
    if ([...streams.values()].some((s) => s.house === house)) return;
    const end = async (): Promise<void> => {
      houses.delete(key);
      for (const stream of marked(house.folder)) left.delete(stream);
      await house.rabbit.end();
    };
    if (!key.startsWith('shared-')) return await end();
    house.stopIdle();
    house.stopIdle = deps.clock.after(IDLE_MS, () => {
      if (![...streams.values()].some((s) => s.house === house)) void end();
    });
  };

  // Warm ones of an earlier run stay so for a while; what is dead is swept away.
  for (const key of empty) {
    if (isRunning(join(deps.folder, key))) void settle(houseOf(key), key);
    else rmSync(join(deps.folder, key), { recursive: true, force: true });
  }

  return {
    engine: 'rabbitmq',
    isInstalled: () => rabbitProgram() !== undefined,
    ensure: (lease, local) =>
      alone(lease.stream, async () => {
        if (rabbitProgram() === undefined)
          throw new Error('no RabbitMQ is installed on this node; Debian: apt install rabbitmq-server');
        needCertificate(lease, deps.certificate);
        const { stream } = lease;
        const known = streams.get(stream);
        if (known !== undefined) {
          known.lease = lease;
          known.local = local;
          if (known.gateway === undefined) await bringUp(stream);
          const { reason, isUnwanted } = unwantedIn(lease, local, deps.clock.now());
          known.gateway?.cut(isUnwanted, reason);
          return;
        }
        const house = houseOf(keyOf(lease));
        const most = Math.floor(deps.watermarkBytes * MOST_OF_WATERMARK);
        const free = most - bufferOf(house);
        if (lease.bufferBytes > free)
          throw new Error(`the RabbitMQ of this node has ${free} of its ${most} buffer bytes left`);
        house.stopIdle();
        house.unwanted.delete(stream);
        // Before the virtual host is made: whoever finds it knows whose it is.
        writeFileSync(join(house.folder, 'streams', stream), '');
        streams.set(stream, { house, lease, local, used: new Set(), sight: EMPTY });
        left.delete(stream);
        await bringUp(stream);
      }),
    close: (stream, reason) =>
      alone(stream, async () => {
        const held = streams.get(stream);
        const key = held === undefined ? left.get(stream) : keyOf(held.lease);
        if (key === undefined) return;
        const house = houseOf(key);
        streams.delete(stream);
        house.unwanted.add(stream);
        await held?.gateway?.close(reason);
        if (key.startsWith('shared-')) await removeHost(house, stream).catch(said(stream));
        await settle(house, key);
      }),
    observe: () => [
      ...[...streams].map(([stream, held]) => observed(deps, stream, held)),
      ...[...left.keys()].filter((s) => !streams.has(s)).map((s) => observeClosed(s, 'failed', LEFT_BEHIND)),
    ],
    ports(stream) {
      const port = streams.get(stream)?.gateway?.port;
      return port === undefined ? undefined : { port };
    },
    used: (credential) => [...streams.values()].some((s) => s.used.has(credential)),
    async stop() {
      for (const [key, house] of houses) {
        house.stopIdle();
        houses.delete(key);
        await house.rabbit.end();
      }
    },
  };
}

const keyOf = (lease: Lease): string =>
  lease.kind === 'dedicated' ? `own-${lease.stream}` : `shared-${lease.enclave}`;

/** Streams that have, or may have, a virtual host there. */
function marked(house: string): readonly string[] {
  const folder = join(house, 'streams');
  return existsSync(folder) ? readdirSync(folder).filter((name) => /^[\w-]+$/.test(name)) : [];
}

function observed(deps: RabbitmqBrokerDeps, stream: string, { gateway, house, lease, sight }: Held): ObservedStream {
  const problem = house.rabbit.problem();
  if (gateway === undefined)
    return observeClosed(stream, problem === '' ? 'starting' : 'failed', problem === '' ? STARTING : problem);
  return observeGateway(gateway, {
    ...{ stream, scheme: lease.tls ? 'amqps' : 'amqp', external: deps.external, compute: deps.compute },
    lost: house.rabbit.server() === undefined ? problem || STARTING : '',
    counters: sight,
  });
}
