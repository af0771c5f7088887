/**
 * A stream and its pure state: what is wanted (present or released), what its node last reported, and the state a person sees.
 * Credentials and claims are its parts. Paper section 4.1.
 */

export type StreamRole = 'producer' | 'consumer';
export type StreamState =
  | 'pending'
  | 'ready'
  | 'paused'
  | 'draining'
  | 'unreachable'
  | 'releasing'
  | 'released'
  | 'failed';

export interface StreamCounters {
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly dropped: number;
  readonly redelivered: number;
  readonly buffered: number;
  readonly bufferedBytes: number;
  readonly producers: number;
  readonly consumers: number;
  readonly refused: number;
  /** Absent where nobody counts it. */
  readonly unconfirmed?: number | undefined;
}

export interface StreamConnection {
  readonly id: string;
  readonly role: StreamRole;
  readonly credential: string;
  readonly remoteAddress: string;
  readonly messages: number;
  readonly bytes: number;
  readonly connectedAtMs: number;
}

/** What a node says of a stream. */
export interface Observed {
  readonly stream: string;
  readonly state: 'starting' | 'ready' | 'failed';
  readonly reason: string;
  readonly drained?: boolean | undefined;
  readonly usage?: { readonly bytes: number; readonly messages: number; readonly reached: string } | undefined;
  readonly endpoints: Readonly<Record<string, string>>;
  readonly counters: StreamCounters;
  readonly connections: readonly StreamConnection[];
}

export interface Stream {
  readonly id: string;
  readonly project: string;
  readonly environment: string;
  readonly name: string;
  readonly template: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** The part of the template that a lease is made of, as it was when the stream was made. */
  readonly lease: LeaseTerms;
  readonly node: string;
  readonly createdBy: string;
  /** The request that made it; what its node reports is recorded under it. */
  readonly requestId: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** When release was asked for; the stream is wanted while this is null. */
  readonly releaseRequestedAt: Date | null;
  readonly releaseReason: string;
  /** When its node no longer held it. */
  readonly releasedAt: Date | null;
  readonly observed: Observed | null;
  readonly observedAt: Date | null;
  /** What was last said of its end of life. */
  readonly notice: string | null;
}

/** Terms of a lease: those of the template, and what users change of them while the stream lives. */
export interface LeaseTerms {
  readonly engine: 'relay' | 'redis' | 'rabbitmq';
  readonly mode?: 'direct' | 'l4' | 'l7';
  readonly kind?: 'shared' | 'dedicated';
  readonly enclave?: string;
  readonly queues?: number;
  readonly queueType?: 'classic' | 'quorum';
  readonly tls?: boolean;
  readonly bytesPerSecond?: number;
  readonly messagesPerSecond?: number;
  readonly paused?: boolean;
  readonly draining?: boolean;
  readonly byteQuota?: number;
  readonly messageQuota?: number;
  readonly admission: 'credential' | 'address';
  readonly delivery: 'at-most-once' | 'redeliver';
  readonly overflow: 'wait' | 'drop-oldest' | 'refuse';
  readonly consumer: 'connect' | 'listen';
  readonly bufferBytes: number;
  readonly maxMessageBytes: number;
  readonly maxConnections: number;
  readonly externalAddresses: readonly string[];
  readonly consumerListens: readonly string[];
  readonly offlineLifetimeSeconds: number;
  readonly credentialLifetimeSeconds: number;
}

export interface Credential {
  readonly id: string;
  readonly stream: string;
  readonly role: StreamRole;
  readonly username: string;
  readonly passwordDigest: string;
  /** The bearer that obtained it; revoking that one cuts this one's connections. */
  readonly issuedTo: string;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
}

/** A job's right to obtain its own credential at the node, once an attempt. */
export interface Claim {
  readonly id: string;
  readonly stream: string;
  readonly role: StreamRole;
  readonly job: string;
  readonly secretDigest: string;
  readonly issuedTo: string;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
}

/** A node not heard of for so long counts as unreachable; its streams go on, we just do not see them. */
export const NODE_SILENT_MS = 10_000;

export function streamState(stream: Stream, nowMs: number): { readonly state: StreamState; readonly reason: string } {
  if (stream.releasedAt !== null) return { state: 'released', reason: stream.releaseReason };
  if (stream.releaseRequestedAt !== null) return { state: 'releasing', reason: stream.releaseReason };
  if (stream.observed === null || stream.observedAt === null)
    return { state: 'pending', reason: 'the node has not reported it yet' };
  if (nowMs - stream.observedAt.getTime() > NODE_SILENT_MS)
    return {
      state: 'unreachable',
      reason: `node ${stream.node} was last heard of at ${stream.observedAt.toISOString()}`,
    };
  const { state, usage } = stream.observed;
  const reason = stream.observed.reason === '' ? (usage?.reached ?? '') : stream.observed.reason;
  if (state !== 'ready') return { state: state === 'starting' ? 'pending' : state, reason };
  const { buffered, bufferedBytes } = stream.observed.counters;
  if (stream.lease.draining === true)
    return {
      state: 'draining',
      reason: `${buffered} messages, ${bufferedBytes} bytes left; until ${stream.expiresAt.toISOString()} at the latest`,
    };
  if (stream.lease.paused === true) return { state: 'paused', reason: 'its producers wait until it is resumed' };
  return { state, reason };
}
