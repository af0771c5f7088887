/**
 * The agent of a data streaming node: keeps the streams of its leases open, reports what it sees, and goes on from its own file when the
 * control plane is gone. Level-triggered: each turn makes everything so. Owns the node's memory (lease-file.ts).
 */
import { randomUUID } from 'node:crypto';
import type { Lease, NodeEvent, ObservedStream } from '../api/contract/node-link.ts';
import type { Clock } from '../clock.ts';
import type { StreamPorts } from './broker/broker.ts';
import type { NodeBroker } from './broker/brokers-by-engine.ts';
import type { NodeCertificate } from './certificate/node-certificate.ts';
import type { ClaimRequest, ClaimVerdict } from './claim-server.ts';
import { drainWatch } from './drain-watch.ts';
import { eventSpool } from './event-spool.ts';
import { exchangeClaim } from './exchange-claim.ts';
import type { LeaseFile, NodeMemory } from './lease-file.ts';
import type { Link } from './link.ts';
import type { Usage } from './quota.ts';

/** How long a turn waits at the control plane for news; also how often counters are reported. */
const TURN_MS = 1000;
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 2000;
/** A link that hangs is waited for so long before what has expired meanwhile is looked for. */
const HANGS_MS = 2000;
const CERTIFY_AGAIN_MS = 5000;
/** When last linked is rewritten so often, so that offline lifetime survives our own restart. */
const LINKED_NOTE_MS = 30_000;
/** Where there is a quota, what was used of it is noted so often. */
const USAGE_NOTE_MS = 2000;

export interface AgentDeps {
  readonly clock: Clock;
  readonly file: LeaseFile;
  readonly broker: NodeBroker;
  readonly link: Link;
  readonly certificate: Pick<NodeCertificate, 'authorityPem' | 'renew'>;
  readonly claimUrl: () => string;
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}

export interface Agent {
  /** Opens what the file holds, then runs until stopped. */
  run(): Promise<void>;
  exchange(request: ClaimRequest): ClaimVerdict;
  /** The ports that the stream had before, so that it may have them again. */
  ports(stream: string): StreamPorts | undefined;
  /** What producers had put into it when that was last noted. */
  usedBefore(stream: string): Usage | undefined;
  note(event: {
    readonly stream: string;
    readonly kind: string;
    readonly detail: Readonly<Record<string, unknown>>;
  }): void;
  /** Something changed on the node: it is reported now, not at the end of the turn. */
  hurry(): void;
  stop(): Promise<void>;
}

export function agent(deps: AgentDeps): Agent {
  const instance = randomUUID();
  const stopping = new AbortController();
  let memory: NodeMemory = deps.file.read();
  const spool = eventSpool(deps.clock, memory.events);
  const failed = new Map<string, string>();
  let appliedVersion = 0;
  let notedAtMs = 0;
  let running: Promise<void> = Promise.resolve();
  let turn = new AbortController();
  let hurried = false;
  let unwritten = '';
  /** Of the monotonic clock: a wall clock that is set must neither end streams nor keep them. Before this run only the wall clock tells. */
  let linkedAt = deps.clock.monotonic() - Math.max(0, deps.clock.now() - memory.linkedAtMs);

  /** False where the disk does not take it: the node goes on from what it knows, and writes it when it can. */
  const save = (change: Partial<NodeMemory>): boolean => {
    memory = { ...memory, ...change };
    memory = { ...memory, usage: usageNow(), events: [...spool.waiting()] };
    try {
      deps.file.write(memory);
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause);
      if (unwritten !== detail)
        deps.log.warn(
          { detail },
          'the lease file cannot be written; streams go on, a restart would begin from the last one',
        );
      unwritten = detail;
      return false;
    }
    if (unwritten !== '') deps.log.info({}, 'the lease file is written again');
    unwritten = '';
    return true;
  };
  /** Kept as long as the lease is. What was said to be used up is noted only where it is said: between the two there may be other saves. */
  const usageNow = (told: ReadonlyMap<string, string> = new Map()): NodeMemory['usage'] => {
    const usage: NodeMemory['usage'] = {};
    const seen = new Map(deps.broker.observe().map((o) => [o.stream, o.usage]));
    for (const { stream } of memory.leases) {
      const noted = memory.usage[stream];
      const its = seen.get(stream) ?? noted;
      if (its !== undefined) usage[stream] = { ...its, reached: told.get(stream) ?? noted?.reached ?? '' };
    }
    return usage;
  };
  let usageNotedAtMs = 0;
  const noteUsage = (): void => {
    const now = deps.clock.now();
    const quotas = new Map(memory.leases.map((l) => [l.stream, l.byteQuota + l.messageQuota]));
    const told = new Map<string, string>();
    let due = false;
    for (const { stream, usage } of deps.broker.observe()) {
      const noted = memory.usage[stream];
      if (usage === undefined || !quotas.has(stream)) continue;
      const { bytes, messages, reached } = usage;
      if (reached !== (noted?.reached ?? '')) {
        told.set(stream, reached);
        if (reached !== '') spool.add({ stream, kind: 'quota-reached', detail: { reason: reached, bytes, messages } });
      }
      due ||= bytes !== noted?.bytes && quotas.get(stream) !== 0 && now - usageNotedAtMs >= USAGE_NOTE_MS;
    }
    if (!due && told.size === 0) return;
    usageNotedAtMs = now;
    memory = { ...memory, usage: usageNow(told) };
    save({});
  };
  const localFor = (stream: string) =>
    memory.claimed.filter((c) => c.credential.stream === stream).map((c) => c.credential);

  /** Makes the node as the leases say. A stream that cannot be opened is reported as failed and tried again each turn. */
  const apply = async (): Promise<void> => {
    const now = deps.clock.now();
    const offlineMs = deps.clock.monotonic() - linkedAt;
    const wanted = new Map(
      memory.leases
        .filter((l) => l.expiresAtMs > now && offlineMs <= l.offlineLifetimeSeconds * 1000)
        .map((l) => [l.stream, l]),
    );
    for (const open of deps.broker.observe()) {
      if (wanted.has(open.stream)) continue;
      await deps.broker.close(
        open.stream,
        offlineMs > TURN_MS * 10 ? 'expired, or offline for longer than it may be' : 'released or expired',
      );
      spool.add({
        stream: open.stream,
        kind: 'closed',
        detail: {
          messagesIn: open.counters.messagesIn,
          messagesOut: open.counters.messagesOut,
          bytesIn: open.counters.bytesIn,
          bytesOut: open.counters.bytesOut,
          dropped: open.counters.dropped,
          redelivered: open.counters.redelivered,
        },
      });
    }
    failed.clear();
    for (const lease of wanted.values()) await ensure(lease);
    // Kept as long as the lease is, also while it was closed for being offline too long: clients were told these ports.
    const ports: NodeMemory['ports'] = {};
    for (const { stream } of memory.leases) {
      const those = deps.broker.ports(stream) ?? memory.ports[stream];
      if (those !== undefined) ports[stream] = those;
    }
    if (JSON.stringify(ports) !== JSON.stringify(memory.ports)) save({ ports });
    noteUsage();
  };
  const ensure = async (lease: Lease): Promise<void> => {
    const now = deps.clock.now();
    const valid = { ...lease, credentials: lease.credentials.filter((c) => c.expiresAtMs > now) };
    try {
      await deps.broker.ensure(valid, localFor(lease.stream));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      if (!failed.has(lease.stream))
        deps.log.warn({ stream: lease.stream, err: cause }, 'a stream could not be opened');
      failed.set(lease.stream, reason);
    }
  };

  const watchDrain = drainWatch(deps.clock);
  const observed = (): ObservedStream[] => [
    ...deps.broker.observe().map((o) =>
      watchDrain(
        memory.leases.find((l) => l.stream === o.stream),
        o,
      ),
    ),
    ...[...failed].map(
      ([stream, reason]): ObservedStream => ({
        stream,
        state: 'failed',
        reason,
        endpoints: {},
        counters: NO_COUNTERS,
        connections: [],
      }),
    ),
  ];

  const accept = async (answer: {
    version: number;
    leases: Lease[] | null;
    acceptedEvents: string[];
  }): Promise<void> => {
    const now = deps.clock.now();
    linkedAt = deps.clock.monotonic();
    spool.delivered(answer.acceptedEvents);
    if (answer.leases !== null) {
      const claims = new Set(answer.leases.flatMap((l) => l.claims.map((c) => c.id)));
      save({
        version: answer.version,
        leases: answer.leases,
        linkedAtMs: now,
        claimed: memory.claimed.filter((c) => claims.has(c.claim)),
      });
      notedAtMs = now;
    } else if (Math.abs(now - notedAtMs) > LINKED_NOTE_MS || unwritten !== '' || answer.acceptedEvents.length > 0) {
      save({ linkedAtMs: now });
      notedAtMs = now;
    } else memory = { ...memory, linkedAtMs: now };
    await apply();
    appliedVersion = memory.version;
  };

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        cancel();
        stopping.signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = deps.clock.after(ms, done);
      stopping.signal.addEventListener('abort', done, { once: true });
    });

  /** A cut cable gives no answer for seconds: what expires meanwhile ends all the same. */
  const whileAsking = async <T>(asked: Promise<T>): Promise<T> => {
    const answered = asked.then((value) => ({ value }));
    for (;;) {
      let cancel = (): void => undefined;
      const hangs = new Promise<undefined>((resolve) => {
        cancel = deps.clock.after(HANGS_MS, () => resolve(undefined));
      });
      const done = await Promise.race([answered, hangs]).finally(() => cancel());
      if (done !== undefined) return done.value;
      if (!stopping.signal.aborted) await apply();
    }
  };

  let certifyAgainAt = 0;
  /** Streams that need none go on without; those that do say so. */
  const certify = async (): Promise<void> => {
    const now = deps.clock.monotonic();
    if (now < certifyAgainAt) return;
    try {
      if (await deps.certificate.renew((request) => deps.link.certify(request, stopping.signal)))
        deps.log.info({}, 'the node has a new certificate');
    } catch (cause) {
      certifyAgainAt = now + CERTIFY_AGAIN_MS;
      deps.log.warn({ err: cause }, 'no certificate could be had; it is asked for again');
    }
  };

  const loop = async (): Promise<void> => {
    const claimPort = Number(new URL(deps.claimUrl()).port);
    if (claimPort !== memory.claimPort) save({ claimPort });
    if (memory.leases.length > 0) {
      deps.log.info({ streams: memory.leases.length, version: memory.version }, 'going on from the lease file');
      await apply();
    }
    let retryMs = RETRY_FIRST_MS;
    let down = '';
    while (!stopping.signal.aborted) {
      await certify();
      const events: NodeEvent[] = spool.waiting().slice(0, 500);
      const report = {
        instance,
        knownVersion: memory.version,
        appliedVersion,
        claimUrl: deps.claimUrl(),
        engines: [...deps.broker.engines()],
        waitMs: hurried || appliedVersion < memory.version || events.length > 0 ? 0 : TURN_MS,
        streams: observed(),
        events,
      };
      hurried = false;
      turn = new AbortController();
      const done = await whileAsking(deps.link.sync(report, turn.signal));
      if (stopping.signal.aborted) break;
      // Cut short by ourselves: nothing is known of the link.
      if (hurried && done.kind === 'down') continue;
      if (done.kind === 'answered') {
        if (down !== '') deps.log.info({}, 'linked again');
        down = '';
        retryMs = RETRY_FIRST_MS;
        await accept(done.answer);
        continue;
      }
      if (down !== done.detail)
        deps.log.warn(
          { detail: done.detail },
          done.kind === 'refused'
            ? 'the control plane refuses this node'
            : 'the control plane does not answer; streams go on',
        );
      down = done.detail;
      await apply();
      await pause(retryMs);
      retryMs = Math.min(retryMs * 2, RETRY_LAST_MS);
    }
  };

  return {
    run() {
      running = loop();
      return running;
    },
    exchange(request) {
      const verdict = exchangeClaim(
        { leases: memory.leases, claimed: memory.claimed, used: deps.broker.used, nowMs: deps.clock.now() },
        request,
      );
      if (verdict.kind !== 'granted') return verdict;
      const { lease, claimed, password } = verdict;
      const endpoint = deps.broker.observe().find((o) => o.stream === lease.stream)?.endpoints[claimed.credential.role];
      if (endpoint === undefined) return { kind: 'unknown' };
      // Remembered before it is told: a restart between the two must not leave a credential nobody knows.
      const before = memory.claimed;
      if (!save({ claimed: [...before.filter((c) => c.claim !== claimed.claim), claimed] })) {
        memory = { ...memory, claimed: before };
        return { kind: 'unknown' };
      }
      spool.add({
        stream: lease.stream,
        kind: 'claimed',
        detail: { job: request.job, attempt: request.attempt, role: claimed.credential.role },
      });
      ensure(lease).catch(() => undefined); // never rejects; cuts an earlier attempt's connections
      return {
        kind: 'granted',
        answer: {
          role: claimed.credential.role,
          endpoint,
          username: claimed.credential.username,
          password,
          delivery: lease.delivery,
          authority: lease.tls ? (deps.certificate.authorityPem() ?? null) : null,
        },
      };
    },
    ports(stream) {
      const those = memory.ports[stream];
      if (those === undefined) return undefined;
      const { port, consumerPort } = those;
      return consumerPort === undefined ? { port } : { port, consumerPort };
    },
    usedBefore: (stream) => memory.usage[stream],
    note: (event) => spool.add(event),
    hurry() {
      hurried = true;
      turn.abort();
    },
    async stop() {
      stopping.abort();
      turn.abort();
      await running;
      save({});
      for (const open of deps.broker.observe()) await deps.broker.close(open.stream, 'the node is shutting down');
      await deps.broker.stop?.();
      save({});
    },
  };
}

const NO_COUNTERS = {
  messagesIn: 0,
  messagesOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  dropped: 0,
  redelivered: 0,
  buffered: 0,
  bufferedBytes: 0,
  producers: 0,
  consumers: 0,
  refused: 0,
} as const;
