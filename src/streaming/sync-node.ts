/**
 * One turn of a node's agent: its report is stored, streams it no longer holds become released, its events are audited, and it is
 * answered with all its leases as soon as they differ from the version it knows.
 */
import { type Queries, type TransactionQueries, transaction } from '../database/index.ts';
import { type Caller, lockdownInForce } from '../identity/index.ts';
import { Problem } from '../problems.ts';
import type { StreamingDeps } from './deps.ts';
import { recordEvent, requestOf } from './record-event.ts';
import { secretsOf } from './secret-store.ts';
import {
  liveStreams,
  markReleased,
  moveVersion,
  nodeRow,
  nodeSeen,
  requestRelease,
  saveObservation,
  streamById,
  streamsById,
} from './store.ts';
import type { LeaseTerms, Observed, Stream, StreamRole } from './stream.ts';

export interface NodeReport {
  readonly node: string;
  readonly knownVersion: number;
  readonly appliedVersion: number;
  readonly claimUrl: string;
  readonly engines?: readonly string[] | undefined;
  readonly waitMs: number;
  readonly streams: readonly Observed[];
  readonly events: readonly {
    readonly id: string;
    readonly atMs: number;
    readonly stream: string;
    readonly kind: string;
    readonly detail: Readonly<Record<string, unknown>>;
  }[];
}

interface SecretLease {
  readonly id: string;
  readonly role: StreamRole;
  readonly expiresAtMs: number;
}

/** The lease of one stream, as contract/node-link.ts sends it. */
export interface StreamLease
  extends Required<Omit<LeaseTerms, 'credentialLifetimeSeconds' | 'externalAddresses' | 'consumerListens'>> {
  readonly stream: string;
  readonly project: string;
  readonly expiresAtMs: number;
  readonly externalShut: boolean;
  readonly externalAddresses: string[];
  readonly consumerListens: string[];
  readonly credentials: (SecretLease & { readonly username: string; readonly passwordDigest: string })[];
  readonly claims: (SecretLease & { readonly job: string; readonly secretDigest: string })[];
}

export interface NodeAnswer {
  readonly version: number;
  readonly leases: StreamLease[] | null;
  readonly acceptedEvents: string[];
}

/** Throws `refused` where the bearer is another node's, `not-found` where the facility has no such node. */
export async function syncNode(
  deps: StreamingDeps,
  caller: Caller,
  report: NodeReport,
  signal: AbortSignal,
): Promise<NodeAnswer> {
  if (caller.kind !== 'node' || caller.subject !== report.node) {
    throw new Problem('refused', 'A node reports for itself only.', {
      rules: [{ rule: 'node-acts-for-itself-only', detail: `this bearer is ${caller.subject}'s` }],
    });
  }
  const acceptedEvents = await auditEvents(deps, caller, report);
  await store(deps, report);
  deps.waiters.wake(`applied:${report.node}`);
  const until = deps.clock.monotonic() + report.waitMs;
  for (;;) {
    const row = await nodeRow(deps.db, report.node);
    if (row === undefined) throw new Problem('not-found', `The facility has no data streaming node ${report.node}.`);
    if (row.version !== report.knownVersion)
      return { version: row.version, leases: await leasesOf(deps, report.node), acceptedEvents };
    const rest = until - deps.clock.monotonic();
    if (rest <= 0 || signal.aborted) return { version: row.version, leases: null, acceptedEvents };
    // Woken at once by a change made through this replica; a change made through another is seen within the half second.
    await deps.waiters.wait(report.node, Math.min(rest, 500), signal);
  }
}

async function auditEvents(deps: StreamingDeps, caller: Caller, report: NodeReport): Promise<string[]> {
  // Released ones too: their last counters come when they are gone.
  const streams = await streamsById(deps.db, [...new Set(report.events.map((e) => e.stream))]);
  await Promise.all(
    report.events.map((event) =>
      deps.audit.append({
        at: new Date(event.atMs),
        requestId: requestOf(streams.get(event.stream)),
        phase: 'event',
        callerKind: caller.kind,
        callerId: caller.id,
        subject: caller.subject,
        project: streams.get(event.stream)?.project ?? null,
        action: `stream.${event.kind}`,
        resource: `stream/${event.stream}`,
        status: null,
        detail: { ...event.detail, event: event.id },
      }),
    ),
  );
  return report.events.map((e) => e.id);
}

async function store(deps: StreamingDeps, report: NodeReport): Promise<void> {
  const at = new Date(deps.clock.now());
  const held = new Set(report.streams.map((s) => s.stream));
  await transaction(deps.db, async (trx) => {
    const { node: name, appliedVersion, claimUrl, engines } = report;
    await nodeSeen(trx, { name, at, appliedVersion, claimUrl, engines });
    for (const observed of report.streams) await saveObservation(trx, observed, at);
    for (const { stream } of report.streams.filter((s) => s.drained === true)) await endDrained(deps, trx, stream);
    // The agent applies an answer whole before it asks again, so what it does not hold now and is not wanted will not come back.
    const gone = (await liveStreams(trx, report.node)).filter((s) => s.releaseRequestedAt !== null && !held.has(s.id));
    const released = await markReleased(
      trx,
      gone.map((s) => s.id),
      at,
    );
    for (const stream of gone.filter((s) => released.includes(s.id)))
      await recordEvent(deps, stream, {
        part: 'sync-node',
        action: 'stream.released',
        detail: { reason: stream.releaseReason, node: report.node },
      });
  });
  for (const id of held) deps.waiters.wake(`stream:${id}`);
}

/** Nothing is left in it: it is released now. Of repeated reports the first does it. */
async function endDrained(deps: StreamingDeps, trx: TransactionQueries, id: string): Promise<void> {
  const stream = await streamById(trx, id);
  if (stream?.lease.draining !== true) return;
  if (!(await requestRelease(trx, id, { at: new Date(deps.clock.now()), reason: 'it was drained' }))) return;
  await moveVersion(trx, stream.node);
  const { messagesIn = 0, messagesOut = 0 } = stream.observed?.counters ?? {};
  const detail = { node: stream.node, messagesIn, messagesOut };
  await recordEvent(deps, stream, { part: 'sync-node', action: 'stream.drained', detail });
}

/** Read after the version was: a change that came in between is delivered early, and once more under its own version. */
async function leasesOf(deps: StreamingDeps, node: string): Promise<StreamLease[]> {
  return transaction(deps.db, async (trx) => {
    const wanted = (await liveStreams(trx, node)).filter((s) => s.releaseRequestedAt === null);
    // From the database, not from the verifier's memory: a node answered with a stale one would not ask again.
    const externalShut = (await lockdownInForce(trx)) !== undefined;
    return leasesFor(trx, wanted, { now: new Date(deps.clock.now()), externalShut });
  });
}

async function leasesFor(
  trx: Queries,
  streams: readonly Stream[],
  { now, externalShut }: { readonly now: Date; readonly externalShut: boolean },
): Promise<StreamLease[]> {
  const { credentials, claims } = await secretsOf(
    trx,
    streams.map((s) => s.id),
    now,
  );
  return streams.map((stream) => {
    const { credentialLifetimeSeconds: _, ...terms } = stream.lease;
    return {
      ...terms,
      // Streams of before these were known.
      mode: terms.mode ?? 'l7',
      kind: terms.kind ?? 'shared',
      enclave: terms.enclave ?? 'open',
      queues: terms.queues ?? 1,
      queueType: terms.queueType ?? 'classic',
      tls: terms.tls ?? false,
      bytesPerSecond: terms.bytesPerSecond ?? 0,
      messagesPerSecond: terms.messagesPerSecond ?? 0,
      paused: terms.paused ?? false,
      draining: terms.draining ?? false,
      byteQuota: terms.byteQuota ?? 0,
      messageQuota: terms.messageQuota ?? 0,
      externalShut,
      stream: stream.id,
      project: stream.project,
      expiresAtMs: stream.expiresAt.getTime(),
      externalAddresses: [...terms.externalAddresses],
      consumerListens: [...terms.consumerListens],
      credentials: credentials
        .filter((c) => c.stream === stream.id)
        .map((c) => ({
          id: c.id,
          role: c.role,
          username: c.username,
          passwordDigest: c.passwordDigest,
          expiresAtMs: c.expiresAt.getTime(),
        })),
      claims: claims
        .filter((c) => c.stream === stream.id)
        .map((c) => ({
          id: c.id,
          role: c.role,
          job: c.job,
          secretDigest: c.secretDigest,
          expiresAtMs: c.expiresAt.getTime(),
        })),
    };
  });
}
