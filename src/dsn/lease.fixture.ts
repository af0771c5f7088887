/** Leases for tests of this room. Pure. */
import { createHash } from 'node:crypto';
import type { Lease } from '../api/contract/node-link.ts';

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

export function testLease(change: Partial<Lease> = {}): Lease {
  return {
    stream: 'str_a',
    project: 'demo',
    engine: 'relay',
    mode: 'l7',
    kind: 'shared',
    enclave: 'open',
    queues: 1,
    queueType: 'classic',
    tls: false,
    bytesPerSecond: 0,
    messagesPerSecond: 0,
    paused: false,
    draining: false,
    byteQuota: 0,
    messageQuota: 0,
    admission: 'credential',
    delivery: 'redeliver',
    overflow: 'wait',
    consumer: 'connect',
    bufferBytes: 65_536,
    maxMessageBytes: 65_536,
    maxConnections: 4,
    externalAddresses: ['127.0.0.0/8'],
    consumerListens: [],
    expiresAtMs: 1_000_000,
    offlineLifetimeSeconds: 60,
    externalShut: false,
    credentials: [],
    claims: [],
    ...change,
  };
}

export const testClaim = (id: string, secret: string): Lease['claims'][number] => ({
  id,
  role: 'consumer',
  job: 'job_a',
  secretDigest: digestOf(secret),
  expiresAtMs: 1_000_000,
});
