/**
 * The port behind which every engine on a data streaming node lives. The agent says what must exist; the engine makes it so and
 * reports what is. Every call may be repeated. Adapters: relay (built in), redis, rabbitmq.
 */
import type { Lease, ObservedStream } from '../../api/contract/node-link.ts';

/** A credential that the node itself made for a job's attempt, beside those in the lease. */
export interface LocalCredential {
  readonly id: string;
  readonly stream: string;
  readonly role: 'producer' | 'consumer';
  readonly username: string;
  /** SHA-256 of the password, hex. */
  readonly passwordDigest: string;
}

export interface BrokerEvent {
  readonly stream: string;
  readonly kind: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Ports of a stream, kept over restarts so that endpoints stay what clients were told. */
export interface StreamPorts {
  readonly port: number;
  readonly consumerPort?: number;
}

export interface Broker {
  readonly engine: Lease['engine'];
  /** Opens the stream or brings it up to date: expiry, credentials, local credentials. Cuts connections whose credential is gone. */
  ensure(lease: Lease, local: readonly LocalCredential[]): Promise<void>;
  /** Closes the stream's connections and frees its port and memory. Unknown streams are closed already. */
  close(stream: string, reason: string): Promise<void>;
  /** Streams that are open, as they are now. */
  observe(): readonly ObservedStream[];
  ports(stream: string): StreamPorts | undefined;
  /** Was the credential ever used to connect? */
  used(credential: string): boolean;
  /** Whether this host has what the engine needs; left out: it needs nothing. */
  isInstalled?(): boolean;
  /** Ends what the engine keeps beyond its streams. */
  stop?(): Promise<void>;
}
