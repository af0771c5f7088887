/**
 * What the relay is asked to do and what it says about itself: the types that callers see.
 * Owns no state. Issue 2 item 6; the words on the wire are in docs/reference/relay-protocol.md.
 */
import type { Clock } from '../../../clock.ts';
import type { QuotaMeter } from '../../quota.ts';

export type RelayRole = 'producer' | 'consumer';

/** Verdict on a connection's credentials. */
export type Admission =
  | { readonly ok: true; readonly role: RelayRole; readonly credentialId: string }
  /** `later`: nothing is wrong with the peer; it is cut without a word, so that libzmq tries again by itself. */
  | { readonly ok: false; readonly reason: string; readonly later?: true };

export interface AdmissionAttempt {
  readonly username: string;
  readonly password: string;
  readonly remoteAddress: string;
  /** Only with admission 'address': the role of the port that was connected to (or of our connection outwards). */
  readonly portRole?: RelayRole;
}

export interface RelayOptions {
  readonly streamId: string;
  /** Interface to bind. */
  readonly host: string;
  /** Interface for consumers, when it is another one. With admission 'credential' the one port is then bound on both. */
  readonly consumerHost?: string;
  /** 0 = a free port. With admission 'credential' one port takes both roles; with 'address' it is the producers' port. */
  readonly port: number;
  /** Only with admission 'address': the consumers' port, 0 = a free one. Absent = a free one, or none with `consumerListens`. */
  readonly consumerPort?: number;
  /** Bounds for ports given as 0; 0 to 0 or absent takes any free one. */
  readonly portRange?: { readonly from: number; readonly to: number };
  readonly admission: 'credential' | 'address';
  readonly delivery: 'at-most-once' | 'redeliver';
  readonly overflow: 'wait' | 'drop-oldest';
  /** Messages kept in the relay, in bytes, before `overflow` applies; unsent and unacknowledged ones count. */
  readonly bufferBytes: number;
  /** Largest message (sum of its frames' bodies); a larger one closes its producer. */
  /** The buffer's size as it is now, where it may change; `bufferBytes` otherwise. */
  readonly bufferNow?: () => number;
  readonly maxMessageBytes: number;
  /** Live connections, those still in their handshake included. */
  readonly maxConnections: number;
  readonly handshakeTimeoutMs: number;
  /** `tcp://host:port` the relay connects out to as to a consumer, again and again; only with admission 'address'. */
  readonly consumerListens: readonly string[];
  /** Synchronous; compares in constant time. With admission 'address' it is called with empty credentials and a port role. */
  readonly admit: (attempt: AdmissionAttempt) => Admission;
  /** Of what producers put in; the message that would go beyond is not taken, and ends its producer's connection. */
  readonly quota?: QuotaMeter;
  /** The stream is paused: producers are not read on at the next end of a message. `rehold` is called when that changes. */
  readonly isHeld?: () => boolean;
  readonly onEvent?: (event: RelayEvent) => void;
  /** Unacknowledged at one consumer (delivery 'redeliver'). Default 64 messages, 8 MiB; one message always fits. */
  readonly window?: { readonly messages: number; readonly bytes: number };
  /** For tests; the system's clock otherwise. */
  readonly clock?: Clock;
  /** False forces the plain 'data' reader (see adopt-socket.ts); by default it is used only when the self-check fails. */
  readonly readInPlace?: boolean;
}

interface ConnectionEvent {
  readonly connectionId: number;
  readonly role: RelayRole;
  readonly credentialId: string;
  readonly remoteAddress: string;
}

export type RelayEvent =
  | ({ readonly kind: 'connected'; readonly socketType: string } & ConnectionEvent)
  | ({
      readonly kind: 'disconnected';
      readonly reason: string;
      readonly messages: number;
      readonly bytes: number;
      /** Messages the connection leaves behind that will be delivered to others. */
      readonly requeued: number;
      /** At-most-once only: messages of the last write that the kernel had taken whole; the consumer may not have read them. */
      readonly lostInSocket: number;
    } & ConnectionEvent)
  | { readonly kind: 'refused'; readonly remoteAddress: string; readonly reason: string }
  /** Summed up over at most a second. */
  | { readonly kind: 'dropped'; readonly messages: number; readonly bytes: number };

export interface ConnectionCounters {
  readonly id: number;
  readonly role: RelayRole;
  readonly credentialId: string;
  readonly remoteAddress: string;
  readonly messages: number;
  /** On the wire, frame headers included. */
  readonly bytes: number;
  readonly connectedAtMs: number;
}

export interface RelayCounters {
  readonly streamId: string;
  /** Whole messages; bytes are those on the wire, frame headers included, delivery tags not. */
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly dropped: number;
  readonly droppedBytes: number;
  readonly redelivered: number;
  readonly lostInSocket: number;
  /** Messages cut off in the middle by a producer that went away; never delivered. */
  readonly truncated: number;
  readonly acknowledged: number;
  readonly unknownAcknowledgements: number;
  /** In the relay now, unsent or unacknowledged. */
  readonly buffered: { readonly messages: number; readonly bytes: number };
  readonly unacknowledged: number;
  readonly producers: number;
  readonly consumers: number;
  readonly producersWaiting: number;
  readonly refused: number;
  /** Memory of the slabs in use and in reserve, bytes. */
  readonly memoryBytes: number;
  readonly connections: readonly ConnectionCounters[];
}

export interface Relay {
  readonly endpoints: { readonly port: number; readonly consumerPort?: number };
  counters(): RelayCounters;
  /** Closes that credential's live connections now; returns how many. */
  cut(credentialId: string, reason: string): number;
  rehold(): void;
  /** Closes the connections that `unwanted` names, now; returns how many. */
  cutWhere(unwanted: (connection: ConnectionCounters) => boolean, reason: string): number;
  /** Takes no new producers, reads out the ones it has, waits until consumers took everything. False: the deadline came first. */
  drain(deadlineMs: number): Promise<boolean>;
  /** Ends everything at once and frees port, sockets and memory. Safe to call twice. */
  close(reason: string): Promise<void>;
}
