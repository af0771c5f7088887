/**
 * The rabbitmq engine behind the broker port: a virtual host for each stream on a RabbitMQ that is shared by the streams of one enclave and stays warm, or on one of the stream's own
 * (`kind: dedicated`); before each, an application gateway. Admission is decided at the gateway, rights inside RabbitMQ by asking this node. Owns the open streams and, through their
 * folders, the RabbitMQs; those that an earlier run left are found and taken over, or ended.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lease, ObservedStream } from '../../api/contract/node-link.ts';
import type { Clock } from '../../clock.ts';
import { freePorts } from '../../free-ports.ts';
import { checkPassword } from '../admit.ts';
import type { NodeCertificate } from '../certificate/node-certificate.ts';
import { amqpProtocol } from '../gateway/amqp-protocol.ts';
import { openGateway } from '../gateway/open-gateway.ts';
import { type QuotaMeter, quotaMeter, type Usage } from '../quota.ts';
import { endRouter, keptRouterPort } from '../router/tcp-router.ts';
import { listen } from '../sockets/listen.ts';
import type { Broker, BrokerEvent, LocalCredential, StreamPorts } from './broker.ts';
import { DRAINING, judgeLease, unwantedIn } from './judge-lease.ts';
import { needCertificate } from './need-certificate.ts';
import { LEFT_BEHIND, observeClosed } from './observe-gateway.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { type DirectUser, gatewayUser } from './rabbitmq/answer-callback.ts';
import { type DirectFrontOptions, directFront } from './rabbitmq/direct-front.ts';
import type { Front } from './rabbitmq/front.ts';
import { gatewayFront } from './rabbitmq/gateway-front.ts';
import { type KeepRabbitOptions, type KeptRabbit, keepRabbit } from './rabbitmq/keep-rabbit.ts';
import { l4Front } from './rabbitmq/l4-front.ts';
import { EMPTY_SIGHT, type QueueSight } from './rabbitmq/management.ts';
import { isRunning, type RabbitServer, rabbitProgram } from './rabbitmq/rabbit-server.ts';

export interface RabbitmqBrokerDeps {
  readonly clock: Clock;
  /** A folder of the agent's own, mode 0700. */
  readonly folder: string;
  /** Another, for packet routers: with a short path, as their sockets' paths are bounded. */
  readonly routersFolder: string;
  readonly external: string;
  readonly compute: string;
  /** RabbitMQ stops publishers above it; the buffers of its streams are at most 60 % of it. */
  readonly watermarkBytes: number;
  readonly certificate: Pick<NodeCertificate, 'context' | 'pem'>;
  readonly remembered: (stream: string) => StreamPorts | undefined;
  /** What an earlier run of the agent counted. */
  readonly usedBefore?: (stream: string) => Usage | undefined;
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
  front?: Front;
  readonly quota: QuotaMeter;
  /** Of mode `direct`: who was let in, and from where. */
  readonly admitted: Map<string, Set<string>>;
  sight: QueueSight;
  /** The buffer's size that RabbitMQ was told. */
  sized?: number;
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
  const routerOf = (stream: string): string => join(deps.routersFolder, stream);
  /** The house of each stream that an earlier run left. */
  const left = new Map<string, string>();
  const empty: string[] = [];
  for (const key of readdirSync(deps.folder)) {
    const those = marked(join(deps.folder, key));
    for (const stream of those) left.set(stream, key);
    if (those.length === 0) empty.push(key);
  }

  /** Of all RabbitMQs together: they share the host's memory. */
  const buffers = (): number => [...streams.values()].reduce((sum, s) => sum + s.lease.bufferBytes, 0);

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
        direct: (username) => directUser(username),
        ...listenOf(deps, key),
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
            held.front?.cut(() => true, 'the broker was started again');
            deps.onEvent({ stream, kind: 'broker-lost', detail: { buffered: held.sight.buffered } });
          }
          deps.onChange();
        },
        onLook(sights) {
          for (const [stream, held] of streams)
            if (houses.get(key) === held.house) held.sight = sights.get(stream) ?? EMPTY_SIGHT;
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
    const { bufferBytes } = held.lease;
    await server.management.ensureHost({ ...held.lease });
    held.sized = bufferBytes;
    if (held.front !== undefined) return;
    held.front = await FRONTS[held.lease.mode](stream, held, server);
  };
  const gateway = async (stream: string, held: Held, server: RabbitServer): Promise<Front> => {
    const opened = await openGateway({
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
      bytesPerSecond: () => held.lease.bytesPerSecond,
      messagesPerSecond: () => held.lease.messagesPerSecond,
      quota: held.quota,
      isHeld: () => held.lease.paused,
      judge(remoteAddress, username, password) {
        const quotaReached = held.quota.reached();
        const asked = { username, password, remoteAddress, nowMs: deps.clock.now(), quotaReached };
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
    const scheme = held.lease.tls ? 'amqps' : 'amqp';
    const { quota } = held;
    return gatewayFront(opened, { stream, scheme, quota, external: deps.external, compute: deps.compute });
  };
  const directOptions = (stream: string, held: Held, port: number): DirectFrontOptions => ({
    ...{ stream, external: deps.external, compute: deps.compute, clock: deps.clock },
    port,
    management: () => held.house.rabbit.server()?.management,
    admitted: held.admitted,
    roleOf: (username) => directUser(username)?.role,
    isUnwanted(username, address) {
      if (held.lease.draining && directUser(username)?.role === 'producer') return { reason: DRAINING };
      const { reason, isUnwanted } = unwantedIn(held.lease, held.local, deps.clock.now());
      return isUnwanted({ credentialId: username }, judgedBy(held.lease, address)) ? { reason } : undefined;
    },
    onEvent: (kind, detail) => deps.onEvent({ stream, kind, detail }),
  });
  const FRONTS: Readonly<Record<Lease['mode'], (stream: string, held: Held, server: RabbitServer) => Promise<Front>>> =
    {
      l7: gateway,
      async direct(stream, held) {
        return directFront(directOptions(stream, held, held.house.rabbit.publicPort()));
      },
      async l4(stream, held) {
        const { external, compute } = deps;
        const folder = routerOf(stream);
        const port = deps.remembered(stream)?.port ?? keptRouterPort(folder) ?? (await choosePort(deps));
        return l4Front({
          ...directOptions(stream, held, port),
          routerFolder: folder,
          router: {
            ...{ external, compute, port, target: held.house.rabbit.publicPort() },
            maxConnections: held.lease.maxConnections,
          },
          allowed: () => held.lease.externalAddresses,
          log: deps.log,
        });
      },
    };
  /** Whom RabbitMQ asks about that connects to it without us between. */
  const directUser = (username: string): DirectUser | undefined => {
    for (const [stream, held] of streams) {
      if (held.lease.mode === 'l7') continue;
      const { lease, local } = held;
      const found =
        local.find((c) => c.username === username) ?? lease.credentials.find((c) => c.username === username);
      if (found === undefined) continue;
      const judged = (password: string) => checkPassword(lease, local, { username, password, nowMs: deps.clock.now() });
      const isDrained = lease.draining && found.role === 'producer';
      return {
        ...{ stream, role: found.role },
        hasPassword(password) {
          const ok = lease.expiresAtMs > deps.clock.now() && !isDrained && judged(password).ok;
          if (ok) held.used.add(found.id);
          return ok;
        },
        mayComeFrom(address) {
          const { isUnwanted } = unwantedIn(lease, local, deps.clock.now());
          if (isDrained || isUnwanted({ credentialId: found.id }, judgedBy(lease, address))) return false;
          // Remembered before RabbitMQ is told: what is let in now can be ended from now on.
          const from = held.admitted.get(username) ?? new Set();
          held.admitted.set(username, from.add(address));
          return true;
        },
      };
    }
    return undefined;
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
          if (known.front === undefined || known.sized !== lease.bufferBytes) await bringUp(stream);
          const { reason, isUnwanted } = unwantedIn(lease, local, deps.clock.now());
          known.front?.rehold?.();
          if (lease.draining) known.front?.cutProducers(DRAINING);
          known.front?.cut(isUnwanted, reason);
          return;
        }
        const house = houseOf(keyOf(lease));
        const most = Math.floor(deps.watermarkBytes * MOST_OF_WATERMARK);
        const free = most - buffers();
        if (lease.bufferBytes > free)
          throw new Error(`RabbitMQ on this node has ${free} of its ${most} buffer bytes left`);
        house.stopIdle();
        house.unwanted.delete(stream);
        // Before the virtual host is made: whoever finds it knows whose it is.
        writeFileSync(join(house.folder, 'streams', stream), '');
        const quota: QuotaMeter = quotaMeter(() => streams.get(stream)?.lease ?? lease, deps.usedBefore?.(stream));
        streams.set(stream, { house, lease, local, quota, used: new Set(), admitted: new Map(), sight: EMPTY_SIGHT });
        left.delete(stream);
        await bringUp(stream);
      }),
    async close(stream, reason) {
      const done = await alone(stream, async () => {
        const held = streams.get(stream);
        const key = held === undefined ? left.get(stream) : keyOf(held.lease);
        if (key === undefined) return undefined;
        const house = houseOf(key);
        streams.delete(stream);
        house.unwanted.add(stream);
        await held?.front?.close(reason);
        // Of a stream that an earlier run left, the front is not there, and its router may be.
        await endRouter(routerOf(stream), deps.clock);
        if (key.startsWith('shared-')) await removeHost(house, stream).catch(said(stream));
        return { house, key };
      });
      // Not within the turn: a broker that is just coming up waits for its streams' turns.
      if (done !== undefined) await settle(done.house, done.key);
    },
    observe: () => [
      ...[...streams].map(([stream, held]) => observed(stream, held)),
      ...[...left.keys()].filter((s) => !streams.has(s)).map((s) => observeClosed(s, 'failed', LEFT_BEHIND)),
    ],
    ports(stream) {
      const port = streams.get(stream)?.front?.port;
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

/** RabbitMQ 3.10 asks with the address of the router, not of whom it stands for: measured with the two apart. */
const judgedBy = ({ mode }: Lease, address: string): string | undefined => (mode === 'l4' ? undefined : address);

/** Those that clients reach themselves are others than those behind our gateway: the latter stay on no network. */
function keyOf({ kind, mode, stream, enclave }: Lease): string {
  const reach = mode === 'l7' ? '' : `${mode}-`;
  return kind === 'dedicated' ? `own-${reach}${stream}` : `shared-${reach}${enclave}`;
}

/** Where clients, or the router before them, reach the RabbitMQ of a house. */
function listenOf(deps: RabbitmqBrokerDeps, key: string): Pick<KeepRabbitOptions, 'listen'> {
  const reach = /^(?:own|shared)-(direct|l4)-/.exec(key)?.[1];
  const { pem } = deps.certificate;
  const { external, compute } = deps;
  if (reach === 'direct')
    return { listen: { hosts: [external, compute], choosePort: () => choosePort(deps), pem, proxied: false } };
  if (reach !== 'l4') return {};
  const choose = async (): Promise<number> => (await freePorts(1))[0] ?? 0;
  return { listen: { hosts: ['127.0.0.1'], choosePort: choose, pem, proxied: true } };
}

/** A free one on both interfaces, within the node's range. */
async function choosePort(deps: RabbitmqBrokerDeps): Promise<number> {
  const hosts = [deps.external, deps.compute];
  const { port, servers } = await listen({ hosts, port: 0, range: deps.portRange, onConnection: (s) => s.destroy() });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return port;
}

/** Streams that have, or may have, a virtual host there. */
function marked(house: string): readonly string[] {
  const folder = join(house, 'streams');
  return existsSync(folder) ? readdirSync(folder).filter((name) => /^[\w-]+$/.test(name)) : [];
}

function observed(stream: string, { front, house, sight }: Held): ObservedStream {
  const problem = house.rabbit.problem();
  if (front === undefined)
    return observeClosed(stream, problem === '' ? 'starting' : 'failed', problem === '' ? STARTING : problem);
  return front.observe(sight, house.rabbit.server() === undefined ? problem || STARTING : '');
}
