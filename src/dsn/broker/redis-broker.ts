/**
 * The redis engine behind the broker port: a redis-server and an application gateway for each stream. Admission is decided at the gateway from the lease, so revoking cuts at once and
 * Redis itself never sees a user's credential. Owns the open streams; redis-servers that an earlier run left are found and taken over, or ended.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Lease, ObservedStream } from '../../api/contract/node-link.ts';
import type { Clock } from '../../clock.ts';
import type { NodeCertificate } from '../certificate/node-certificate.ts';
import { type Gateway, openGateway } from '../gateway/open-gateway.ts';
import { respProtocol } from '../gateway/resp-protocol.ts';
import { type QuotaMeter, quotaMeter, type Usage } from '../quota.ts';
import type { Broker, BrokerEvent, LocalCredential, StreamPorts } from './broker.ts';
import { DRAINING, judgeLease, unwantedIn } from './judge-lease.ts';
import { needCertificate } from './need-certificate.ts';
import { LEFT_BEHIND, observeClosed, observeGateway } from './observe-gateway.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { collectStreams, type RedisSight } from './redis/collect-streams.ts';
import {
  endRedis,
  type RedisAdmin,
  type RedisServer,
  redisProgram,
  sizesOf,
  startRedis,
} from './redis/redis-server.ts';

export interface RedisBrokerDeps {
  readonly clock: Clock;
  /** A folder of the agent's own, mode 0700. */
  readonly folder: string;
  readonly external: string;
  readonly compute: string;
  readonly certificate: Pick<NodeCertificate, 'context'>;
  readonly remembered: (stream: string) => StreamPorts | undefined;
  /** What an earlier run of the agent counted. */
  readonly usedBefore?: (stream: string) => Usage | undefined;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly onEvent: (event: BrokerEvent) => void;
  readonly log: { warn(fields: object, text: string): void };
}

interface Open {
  server: RedisServer;
  readonly gateway: Gateway;
  readonly quota: QuotaMeter;
  lease: Lease;
  local: readonly LocalCredential[];
  readonly used: Set<string>;
  sight: RedisSight;
  stopLook: () => void;
  admin: RedisAdmin | undefined;
  lost: string;
  /** The buffer's size that its Redis was told; undefined: one of an earlier run may have another. */
  sized: number | undefined;
}

const HANDSHAKE_MS = 10_000;
const LOOK_MS = 250;
const NOTHING: RedisSight = { messagesIn: 0, messagesOut: 0, buffered: 0, bufferedBytes: 0, refusedFull: 0 };

export function redisBroker(deps: RedisBrokerDeps): Broker {
  mkdirSync(deps.folder, { recursive: true, mode: 0o700 });
  const streams = new Map<string, Open>();
  /** What an earlier run of the agent left: taken over when it is wanted, ended when it is not. */
  const left = new Set(readdirSync(deps.folder).filter((name) => /^[\w-]+$/.test(name)));
  const alone = oneAtATime();
  const folderOf = (stream: string): string => join(deps.folder, stream);

  const open = async (lease: Lease, local: readonly LocalCredential[]): Promise<void> => {
    needCertificate(lease, deps.certificate);
    const server = await startRedis(folderOf(lease.stream), lease, deps.clock);
    const used = new Set<string>();
    const state: { current?: Open } = {};
    const quota = quotaMeter(() => state.current?.lease ?? lease, deps.usedBefore?.(lease.stream));
    const gateway = await openGateway({
      hosts: [deps.external, deps.compute],
      port: deps.remembered(lease.stream)?.port ?? 0,
      portRange: deps.portRange,
      clock: deps.clock,
      handshakeTimeoutMs: HANDSHAKE_MS,
      maxConnections: lease.maxConnections,
      tls: lease.tls ? deps.certificate.context : undefined,
      protocol: respProtocol(lease),
      bytesPerSecond: () => (state.current?.lease ?? lease).bytesPerSecond,
      messagesPerSecond: () => (state.current?.lease ?? lease).messagesPerSecond,
      quota,
      isHeld: () => (state.current?.lease ?? lease).paused,
      judge(remoteAddress, username, password) {
        const { lease: now, local: own } = state.current ?? { lease, local };
        const asked = { username, password, remoteAddress, nowMs: deps.clock.now(), quotaReached: quota.reached() };
        const verdict = judgeLease(now, own, asked);
        if (verdict.ok) used.add(verdict.grant.credentialId);
        return verdict;
      },
      upstream({ role }) {
        const { socketPath, password } = state.current?.server ?? server;
        return { at: { path: socketPath }, username: role, password: password(role) };
      },
      onEvent: (kind, detail) => deps.onEvent({ stream: lease.stream, kind, detail }),
    }).catch(async (cause: unknown) => {
      await server.end();
      throw cause;
    });
    const opened: Open = {
      ...{ server, gateway, quota, lease, local, used, sight: NOTHING, admin: undefined, lost: '', sized: undefined },
      stopLook: () => undefined,
    };
    state.current = opened;
    streams.set(lease.stream, opened);
    left.delete(lease.stream);
    look(opened);
  };
  const look = (it: Open): void => {
    sight(it)
      .catch((cause: unknown) => {
        it.admin?.close();
        it.admin = undefined;
        if (it.server.isAlive())
          deps.log.warn({ stream: it.lease.stream, err: cause }, 'a Redis could not be looked at');
      })
      .finally(() => {
        if (streams.get(it.lease.stream) === it) it.stopLook = deps.clock.after(LOOK_MS, () => look(it));
        else it.admin?.close();
      });
  };
  const sight = async (it: Open): Promise<void> => {
    if (!it.server.isAlive()) await alone(it.lease.stream, () => revive(it));
    if (it.admin?.isOpen !== true) it.admin = await it.server.admin();
    await resize(it, it.admin);
    it.sight = await collectStreams(it.admin);
  };
  /** A smaller buffer than what is in it refuses until there is room again; nothing that was taken is thrown away. */
  const resize = async (it: Open, admin: RedisAdmin): Promise<void> => {
    const { lease } = it;
    if (it.sized === lease.bufferBytes) return;
    for (const [name, value] of Object.entries(sizesOf(lease))) await admin.ask('CONFIG', 'SET', name, value);
    it.sized = lease.bufferBytes;
  };
  /** In memory only: what it held is gone, and that is said. */
  const revive = async (it: Open): Promise<void> => {
    if (it.server.isAlive() || streams.get(it.lease.stream) !== it) return;
    const { stream } = it.lease;
    if (it.lost === '') deps.onEvent({ stream, kind: 'broker-lost', detail: { buffered: it.sight.buffered } });
    it.lost = 'its redis-server ended';
    it.gateway.cut(() => true, 'the broker was started again');
    it.server = await startRedis(folderOf(stream), it.lease, deps.clock);
    it.lost = '';
  };

  return {
    engine: 'redis',
    isInstalled: () => redisProgram() !== undefined,
    ensure: (lease, local) =>
      alone(lease.stream, async () => {
        const it = streams.get(lease.stream);
        if (it === undefined) return open(lease, local);
        it.lease = lease;
        it.local = local;
        await revive(it);
        it.gateway.rehold();
        if (lease.draining) it.gateway.cut((grant) => grant.role === 'producer', DRAINING);
        const { reason, isUnwanted } = unwantedIn(lease, local, deps.clock.now());
        it.gateway.cut(isUnwanted, reason);
      }),
    close: (stream, reason) =>
      alone(stream, async () => {
        left.delete(stream);
        const it = streams.get(stream);
        streams.delete(stream);
        it?.stopLook();
        await it?.gateway.close(reason);
        it?.admin?.close();
        await endRedis(folderOf(stream), deps.clock);
      }),
    observe: () => [
      ...[...streams.values()].map((it) => observed(deps, it)),
      ...[...left].map((stream) => observeClosed(stream, 'failed', LEFT_BEHIND)),
    ],
    ports(stream) {
      const port = streams.get(stream)?.gateway.port;
      return port === undefined ? undefined : { port };
    },
    used: (credential) => [...streams.values()].some((it) => it.used.has(credential)),
  };
}

function observed(deps: RedisBrokerDeps, { gateway, quota, lease, sight, lost }: Open): ObservedStream {
  const { messagesIn, messagesOut, buffered, bufferedBytes } = sight;
  return observeGateway(gateway, {
    ...{
      stream: lease.stream,
      scheme: lease.tls ? 'rediss' : 'redis',
      external: deps.external,
      compute: deps.compute,
      lost,
      quota,
    },
    counters: { messagesIn, messagesOut, buffered, bufferedBytes },
  });
}
