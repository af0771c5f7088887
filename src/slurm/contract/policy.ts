/** The wire between control plane and Slurm agent: QoS, who may use them, reservations; everything is read back after it was written. Second port: compute/cluster-policy.ts. */
import { z } from 'zod';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$/);

/** A QoS as Slurm keeps it. What is absent is not limited. */
export const tierFactSchema = z.strictObject({
  name,
  priority: z.int().min(0),
  preempts: z.array(name),
  preemptMode: z.enum(['cluster', 'requeue', 'cancel', 'suspend', 'off']),
  graceSeconds: z.int().min(0),
  maxTimeLimitSeconds: z.int().min(60).optional(),
  maxNodes: z.int().min(1).optional(),
  maxNodesPerUser: z.int().min(1).optional(),
  maxJobsPerUser: z.int().min(1).optional(),
  denyOnLimit: z.boolean(),
});

/** Which QoS an account may use, as slurmctld knows it. */
export const accessFactSchema = z.strictObject({
  account: name,
  /** Absent: of the account itself; what its users inherit. */
  user: z.string().optional(),
  tiers: z.array(name),
  defaultTier: name.optional(),
});

export const reservationOrderSchema = z.strictObject({
  name,
  startMs: z.number(),
  endMs: z.number(),
  /** Absent with nodeCount 0 and licences: a reservation that holds no node. */
  nodes: z.union([z.literal('ALL'), z.array(z.string().regex(/^[A-Za-z0-9._-]{1,64}$/)).max(10_000)]).optional(),
  nodeCount: z.int().min(1).optional(),
  partition: name.optional(),
  accounts: z.array(name).default([]),
  users: z.array(name).default([]),
  flags: z.array(
    z.enum(['MAINT', 'IGNORE_JOBS', 'FLEX', 'MAGNETIC', 'OVERLAP', 'DAILY', 'WEEKLY', 'PURGE_COMP', 'ANY_NODES']),
  ),
});

export type TierFact = z.output<typeof tierFactSchema>;
export type AccessFact = z.output<typeof accessFactSchema>;
export type ReservationOrder = z.output<typeof reservationOrderSchema>;
