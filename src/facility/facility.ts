/**
 * What exists at a facility, as its folder says: networks, clusters, data streaming nodes, projects, environments, tiers.
 * Types and their schemas; no I/O. Environments are data so that the pathway's list stays open (paper section 5).
 */
import { z } from 'zod';

/** Lower case, digits, hyphens; 1 to 40 characters; as in host names and Slurm accounts. */
export const nameSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/, 'lower case letters, digits and hyphens, 1 to 40 characters');

const nodeSchema = z.strictObject({ name: nameSchema, slots: z.int().min(1).max(4096) });

const localClusterSchema = z.strictObject({
  name: nameSchema,
  /** Real processes of this machine, on nodes that are declared here. */
  scheduler: z.literal('local'),
  nodes: z.array(nodeSchema).min(1).max(10_000),
});

/** What it has and how it is reached is not said here: its agent dials in (`beamway admin slurm-link`) and says what there is. */
const slurmClusterSchema = z.strictObject({
  name: nameSchema,
  scheduler: z.literal('slurm'),
  /** CPUs of one of its nodes, by which node-hours are counted; absent: a job counts each of its nodes whole, as on clusters that give whole nodes. */
  slotsPerNode: z.int().min(1).max(4096).optional(),
});

const clusterSchema = z.discriminatedUnion('scheduler', [localClusterSchema, slurmClusterSchema]);

const streamingNodeSchema = z.strictObject({
  name: nameSchema,
  external: nameSchema,
  compute: nameSchema,
  /** DNS names under which clients reach it, for its certificate; its own name is always in it. */
  hostnames: z.array(z.hostname()).default([]),
  capacity: z.strictObject({ streams: z.int().min(1), bufferBytes: z.int().min(65_536) }),
  ports: z.strictObject({ from: z.int().min(0).max(65_535), to: z.int().min(0).max(65_535) }),
});

const projectSchema = z.strictObject({
  name: nameSchema,
  title: z.string().min(1),
  environments: z.array(nameSchema).min(1),
  tiers: z.array(nameSchema).min(1),
  limits: z.strictObject({ streams: z.int().min(0), queuedJobs: z.int().min(0) }),
});

export const facilitySchema = z.strictObject({
  name: nameSchema,
  title: z.string().min(1),
  organization: z.string().min(1),
  networks: z.record(nameSchema, z.strictObject({ address: z.union([z.ipv4(), z.ipv6()]) })),
  clusters: z.array(clusterSchema).min(1),
  dataStreamingNodes: z.array(streamingNodeSchema),
  projects: z.array(projectSchema),
});

export const environmentSchema = z.strictObject({
  name: nameSchema,
  title: z.string().min(1),
  stage: z.enum(['testbed', 'pre-production', 'production', 'leadership']),
  enclave: z.enum(['open', 'moderate']),
  cluster: nameSchema,
  tiers: z.array(nameSchema).min(1),
  streamTemplates: z.array(nameSchema),
  tokens: z.strictObject({ maxLifetimeHours: z.number().positive(), sessionLifetimeHours: z.number().positive() }),
  jobs: z.strictObject({ maxSlots: z.int().min(1), maxTimeLimitSeconds: z.int().min(1) }),
});

export const tiersSchema = z.strictObject({
  tiers: z
    .array(
      z.strictObject({
        name: nameSchema,
        title: z.string().min(1),
        priority: z.int().min(0).max(65_535), // Slurm clips a QoS priority to 16 bits
        preempts: z.array(nameSchema),
        preemptMode: z.enum(['requeue', 'cancel']),
        graceSeconds: z.number().min(0).max(3600),
        maxTimeLimitSeconds: z.int().min(1),
      }),
    )
    .min(1),
});

export type Cluster = z.output<typeof clusterSchema>;
export type LocalCluster = z.output<typeof localClusterSchema>;
export type SlurmCluster = z.output<typeof slurmClusterSchema>;
export type StreamingNode = z.output<typeof streamingNodeSchema>;
export type Project = z.output<typeof projectSchema>;
export type Environment = z.output<typeof environmentSchema>;
export type Tier = z.output<typeof tiersSchema>['tiers'][number];
export type Enclave = Environment['enclave'];

/** The whole folder, read and cross-checked: every name that is mentioned exists. */
export interface Facility {
  readonly directory: string;
  readonly name: string;
  readonly title: string;
  readonly organization: string;
  readonly networks: Readonly<Record<string, { readonly address: string }>>;
  readonly clusters: readonly Cluster[];
  readonly streamingNodes: readonly StreamingNode[];
  readonly projects: ReadonlyMap<string, Project>;
  readonly environments: ReadonlyMap<string, Environment>;
  readonly tiers: ReadonlyMap<string, Tier>;
}
