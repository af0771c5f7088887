/**
 * The relay engine behind the broker port: one relay a stream, in this process. Owns the open relays and decides admission from the
 * lease and the node's own credentials, in constant time, with no call to anybody.
 */
import { addressList } from '../../address-list.ts';
import type { Lease, ObservedStream } from '../../api/contract/node-link.ts';
import type { Clock } from '../../clock.ts';
import { checkPassword } from '../admit.ts';
import { type QuotaMeter, quotaMeter, type Usage } from '../quota.ts';
import type { Broker, BrokerEvent, LocalCredential, StreamPorts } from './broker.ts';
import { DRAINING } from './judge-lease.ts';
import { type Admission, openRelay, type Relay, type RelayEvent } from './relay/index.ts';

const HANDSHAKE_MS = 10_000;
const SHUT = 'the facility is locked down: paths from outside are shut';

export interface RelayBrokerDeps {
  readonly clock: Clock;
  /** Addresses to bind and to tell clients: producers come from outside, jobs from the compute network. */
  readonly external: string;
  readonly compute: string;
  /** The ports a stream had before a restart; `from` and `to` bound new ones, 0 to 0 takes any. */
  readonly remembered: (stream: string) => StreamPorts | undefined;
  /** What an earlier run of the agent counted. */
  readonly usedBefore?: (stream: string) => Usage | undefined;
  readonly portRange: { readonly from: number; readonly to: number };
  readonly onEvent: (event: BrokerEvent) => void;
}

interface Open {
  readonly relay: Relay;
  readonly quota: QuotaMeter;
  lease: Lease;
  local: readonly LocalCredential[];
  readonly used: Set<string>;
  drain: 'no' | 'under way' | 'done';
}

export function relayBroker(deps: RelayBrokerDeps): Broker {
  const streams = new Map<string, Open>();

  const open = async (lease: Lease, local: readonly LocalCredential[]): Promise<Open> => {
    const { overflow } = lease;
    if (overflow === 'refuse') throw new Error('a relay makes producers wait, or drops the oldest; it does not refuse');
    const used = new Set<string>();
    const state: { current: Open | undefined } = { current: undefined };
    const quota = quotaMeter(() => state.current?.lease ?? lease, deps.usedBefore?.(lease.stream));
    /** Why nobody may come as a producer now; empty: they may. */
    const shutTo = (role: 'producer' | 'consumer'): string => {
      if (role !== 'producer') return '';
      return (state.current?.lease ?? lease).draining ? DRAINING : quota.reached();
    };
    const admit = (attempt: {
      readonly username: string;
      readonly password: string;
      readonly remoteAddress: string;
      readonly portRole?: 'producer' | 'consumer';
    }): Admission => {
      const { lease: now, local: own } = state.current ?? { lease, local };
      if (now.expiresAtMs <= deps.clock.now()) return { ok: false, reason: 'the stream has expired' };
      if (now.admission === 'address') {
        if (now.externalShut) return { ok: false, reason: SHUT, later: true };
        if (!addressList(now.externalAddresses).check(attempt.remoteAddress))
          return { ok: false, reason: `address ${attempt.remoteAddress} is not listed` };
        const shut = shutTo(attempt.portRole ?? 'producer');
        if (shut !== '') return { ok: false, reason: shut };
        return { ok: true, role: attempt.portRole ?? 'producer', credentialId: `address:${attempt.remoteAddress}` };
      }
      const verdict = checkPassword(now, own, { ...attempt, nowMs: deps.clock.now() });
      if (!verdict.ok) return verdict;
      if (now.externalShut && !verdict.own) return { ok: false, reason: SHUT, later: true };
      // Jobs come from the compute network with a credential the node made; the list is for those from outside.
      if (!verdict.own && !addressList(now.externalAddresses).check(attempt.remoteAddress))
        return { ok: false, reason: `address ${attempt.remoteAddress} is not listed` };
      const shut = shutTo(verdict.role);
      if (shut !== '') return { ok: false, reason: shut };
      used.add(verdict.credentialId);
      return { ok: true, role: verdict.role, credentialId: verdict.credentialId };
    };
    const remembered = deps.remembered(lease.stream);
    const relay = await openRelay({
      streamId: lease.stream,
      host: deps.external,
      ...(deps.compute === deps.external ? {} : { consumerHost: deps.compute }),
      port: remembered?.port ?? 0,
      portRange: deps.portRange,
      ...(remembered?.consumerPort === undefined ? {} : { consumerPort: remembered.consumerPort }),
      admission: lease.admission,
      delivery: lease.delivery,
      overflow,
      bufferBytes: lease.bufferBytes,
      bufferNow: () => (state.current?.lease ?? lease).bufferBytes,
      maxMessageBytes: lease.maxMessageBytes,
      maxConnections: lease.maxConnections,
      handshakeTimeoutMs: HANDSHAKE_MS,
      consumerListens: lease.consumer === 'listen' ? lease.consumerListens : [],
      admit,
      quota,
      isHeld: () => (state.current?.lease ?? lease).paused,
      onEvent: (event: RelayEvent) => deps.onEvent(eventOf(lease.stream, event)),
    });
    const opened: Open = { relay, quota, lease, local, used, drain: 'no' };
    state.current = opened;
    return opened;
  };

  /** Makes it paused, draining, or closed to producers at its quota, as its lease and its use say. */
  const settle = (it: Open): void => {
    it.relay.rehold();
    const listed = addressList(it.lease.externalAddresses);
    const own = new Set(it.local.map((c) => c.id));
    // Connections outwards are to addresses that are listed: templates see to it.
    it.relay.cutWhere(
      (c) => !own.has(c.credentialId) && !listed.check(c.remoteAddress),
      'its address is not listed any more',
    );
    if (it.quota.reached() !== '') it.relay.cutWhere(isProducer, it.quota.reached());
    if (!it.lease.draining || it.drain !== 'no') return;
    it.drain = 'under way';
    it.relay.cutWhere(isProducer, DRAINING);
    const restMs = Math.max(0, it.lease.expiresAtMs - deps.clock.now());
    void it.relay.drain(restMs).then((isDrained) => {
      it.drain = isDrained ? 'done' : 'under way';
    });
  };

  return {
    engine: 'relay',
    async ensure(lease, local) {
      const present = streams.get(lease.stream);
      if (present === undefined) {
        const opened = await open(lease, local);
        streams.set(lease.stream, opened);
        settle(opened);
        return;
      }
      const own = local.map((c) => c.id);
      const valid = new Set(lease.externalShut ? own : [...lease.credentials.map((c) => c.id), ...own]);
      present.lease = lease;
      present.local = local;
      settle(present);
      if (lease.admission === 'address' && !lease.externalShut) return;
      const reason = lease.externalShut ? SHUT : 'its credential was revoked or has expired';
      for (const connection of present.relay.counters().connections) {
        if (!valid.has(connection.credentialId)) present.relay.cut(connection.credentialId, reason);
      }
    },
    async close(stream, reason) {
      const present = streams.get(stream);
      if (present === undefined) return;
      streams.delete(stream);
      await present.relay.close(reason);
    },
    observe: () => [...streams.values()].map((s) => observed(deps, s)),
    ports(stream) {
      const endpoints = streams.get(stream)?.relay.endpoints;
      if (endpoints === undefined) return undefined;
      return endpoints.consumerPort === undefined
        ? { port: endpoints.port }
        : { port: endpoints.port, consumerPort: endpoints.consumerPort };
    },
    used: (credential) => [...streams.values()].some((s) => s.used.has(credential)),
  };
}

const isProducer = (connection: { readonly role: string }): boolean => connection.role === 'producer';

function observed(deps: RelayBrokerDeps, { relay, quota, lease, drain }: Open): ObservedStream {
  const c = relay.counters();
  const { port, consumerPort } = relay.endpoints;
  return {
    stream: lease.stream,
    state: 'ready',
    reason: '',
    ...(drain === 'done' ? { drained: true } : {}),
    usage: { ...quota.usage(), reached: quota.reached() },
    endpoints: {
      producer: `tcp://${authority(deps.external)}:${port}`,
      ...(lease.consumer === 'listen' ? {} : { consumer: `tcp://${authority(deps.compute)}:${consumerPort ?? port}` }),
    },
    counters: {
      messagesIn: c.messagesIn,
      messagesOut: c.messagesOut,
      bytesIn: c.bytesIn,
      bytesOut: c.bytesOut,
      dropped: c.dropped,
      redelivered: c.redelivered,
      buffered: c.buffered.messages,
      bufferedBytes: c.buffered.bytes,
      producers: c.producers,
      consumers: c.consumers,
      refused: c.refused,
    },
    connections: c.connections.map((x) => ({
      id: String(x.id),
      role: x.role,
      credential: x.credentialId,
      remoteAddress: x.remoteAddress,
      messages: x.messages,
      bytes: x.bytes,
      connectedAtMs: x.connectedAtMs,
    })),
  };
}

function eventOf(stream: string, event: RelayEvent): BrokerEvent {
  const { kind, ...detail } = event;
  return { stream, kind, detail };
}

const authority = (address: string): string => (address.includes(':') ? `[${address}]` : address);
