/**
 * The wire between the control plane and a data streaming node's agent. The agent asks, outbound only: it states what it runs and
 * which version of its leases it knows, and is answered when there is a newer one. Level-triggered: an answer holds everything.
 */
import { z } from 'zod';
import { idParameter } from './fields.ts';
import { operation } from './operation.ts';
import { countersSchema } from './streams.ts';

const credentialLease = z.strictObject({
  id: z.string(),
  role: z.enum(['producer', 'consumer']),
  username: z.string(),
  passwordDigest: z.string().describe('SHA-256 of the password, hex'),
  expiresAtMs: z.number(),
});

const claimLease = z.strictObject({
  id: z.string(),
  role: z.enum(['producer', 'consumer']),
  job: z.string(),
  secretDigest: z.string().describe('SHA-256 of the claim, hex'),
  expiresAtMs: z.number(),
});

/** One stream as the node must have it. Everything the agent needs to go on without the control plane. */
export const leaseSchema = z.strictObject({
  stream: z.string(),
  project: z.string(),
  engine: z.enum(['relay', 'redis', 'rabbitmq']),
  mode: z
    .enum(['direct', 'l4', 'l7'])
    .default('l7')
    .describe('Of a broker: reached by clients themselves, or behind our gateway'),
  kind: z
    .enum(['shared', 'dedicated'])
    .default('shared')
    .describe('Of a broker: one of the enclave, or one of its own'),
  enclave: z.string().default('open').describe('No broker is shared between enclaves'),
  queues: z.int().default(1).describe('Of a rabbitmq stream: at most so many, each with its equal part of the buffer'),
  queueType: z.enum(['classic', 'quorum']).default('classic'),
  bytesPerSecond: z.int().min(0).default(0).describe('At a gateway: what all clients together may put in; 0: no bound'),
  messagesPerSecond: z.int().min(0).default(0).describe('Likewise messages; 0: no bound'),
  byteQuota: z.int().min(0).default(0).describe('What producers may put in over its whole life, octets; 0: no quota'),
  messageQuota: z.int().min(0).default(0).describe('Likewise messages; 0: no quota'),
  paused: z.boolean().default(false).describe('Producers are not read'),
  draining: z.boolean().default(false).describe('Producers are cut and refused; it ends when nothing is left in it'),
  tls: z.boolean().default(false).describe('Its ports speak TLS 1.3, and nothing else'),
  admission: z.enum(['credential', 'address']),
  delivery: z.enum(['at-most-once', 'redeliver']),
  overflow: z.enum(['wait', 'drop-oldest', 'refuse']),
  consumer: z.enum(['connect', 'listen']),
  bufferBytes: z.int(),
  maxMessageBytes: z.int(),
  maxConnections: z.int(),
  externalAddresses: z.array(z.string()).describe('CIDRs that producers and consumers may come from'),
  consumerListens: z.array(z.string()),
  expiresAtMs: z.number(),
  offlineLifetimeSeconds: z.int(),
  externalShut: z
    .boolean()
    .default(false)
    .describe('The facility is locked down: whoever did not get in by a claim is cut and refused'),
  credentials: z.array(credentialLease),
  claims: z.array(claimLease),
});

export const observedStreamSchema = z.strictObject({
  stream: z.string(),
  state: z.enum(['starting', 'ready', 'failed']),
  reason: z.string(),
  drained: z.boolean().optional().describe('It was to be drained, and nothing is left in it'),
  usage: z
    .strictObject({ bytes: z.int(), messages: z.int(), reached: z.string() })
    .optional()
    .describe('What producers put in over its whole life, and which quota is used up; left out: not counted'),
  endpoints: z.record(z.string(), z.string()),
  counters: countersSchema,
  connections: z.array(
    z.strictObject({
      id: z.string(),
      role: z.enum(['producer', 'consumer']),
      credential: z.string(),
      remoteAddress: z.string(),
      messages: z.int(),
      bytes: z.int(),
      connectedAtMs: z.number(),
    }),
  ),
});

/** The last moment that a Date can hold. */
const LATEST_MS = 8_640_000_000_000_000;

/** Something that happened on the node and belongs into the audit log; spooled while the link is cut. */
export const nodeEventSchema = z.strictObject({
  id: z.string(),
  atMs: z.number().min(0).max(LATEST_MS),
  stream: z.string(),
  kind: z.string(),
  detail: z.record(z.string(), z.unknown()),
});

export const syncNode = operation({
  id: 'node.sync',
  method: 'POST',
  path: '/beamway/v1/nodes/{id}/sync',
  summary: "A streaming node's report, answered with its leases as soon as they differ from the version it knows",
  tag: 'nodes',
  params: idParameter,
  body: z.strictObject({
    instance: z.string().describe('Changes with every start of the agent'),
    knownVersion: z.int(),
    appliedVersion: z.int(),
    claimUrl: z.string(),
    engines: z
      .array(z.string().max(40))
      .max(20)
      .optional()
      .describe('What the host can run; left out by an agent that does not say: anything'),
    waitMs: z.int().min(0).max(30_000),
    streams: z.array(observedStreamSchema),
    events: z.array(nodeEventSchema).max(1000),
  }),
  response: z.strictObject({
    version: z.int(),
    leases: z.array(leaseSchema).nullable(),
    acceptedEvents: z.array(z.string()),
  }),
  action: 'node:sync',
  longPoll: true,
});

export const certifyNode = operation({
  id: 'node.certify',
  method: 'POST',
  path: '/beamway/v1/nodes/{id}/certificate',
  summary: "A certificate for a data streaming node, from the facility's own authority",
  tag: 'nodes',
  params: idParameter,
  body: z.strictObject({ request: z.string().max(8192).describe('PKCS #10, PEM; of it only the public key is taken') }),
  response: z.strictObject({
    certificate: z.string().describe('PEM'),
    authority: z.string().describe("The authority's own certificate, PEM: what clients verify the node with"),
    expiresAtMs: z.number(),
  }),
  action: 'node:sync',
});

export type Lease = z.output<typeof leaseSchema>;
export type CredentialLease = z.output<typeof credentialLease>;
export type ClaimLease = z.output<typeof claimLease>;
export type ObservedStream = z.output<typeof observedStreamSchema>;
export type NodeEvent = z.output<typeof nodeEventSchema>;
export type SyncRequest = z.output<NonNullable<typeof syncNode.body>>;
export type SyncAnswer = z.output<typeof syncNode.response>;

export const listNodes = operation({
  id: 'node.list',
  method: 'GET',
  path: '/beamway/v1/nodes',
  summary: 'Data streaming nodes: linked or not, and how full',
  tag: 'nodes',
  response: z.strictObject({
    nodes: z.array(
      z.strictObject({
        name: z.string(),
        linked: z.boolean(),
        lastSeenAt: z.string().nullable(),
        streams: z.int(),
        bufferBytes: z.int(),
        engines: z.array(z.string()).nullable().describe('What the host can run; null: it has not said'),
      }),
    ),
  }),
  action: 'node:read',
});
