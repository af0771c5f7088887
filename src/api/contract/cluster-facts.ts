/** What a cluster's own tools say of it: partitions, nodes, reservations, health, accounting, and the jobs that came past us. Read only. */
import { z } from 'zod';
import { limitField, nameField, timeField, wordField } from './fields.ts';
import { operation } from './operation.ts';

const ofCluster = z.strictObject({ id: nameField });

const fact = <const W extends string>(what: W) =>
  ({
    method: 'GET',
    path: `/beamway/v1/clusters/{id}/${what}`,
    tag: 'facility',
    params: ofCluster,
    action: 'job:read',
  }) as const;

export const listPartitions = operation({
  ...fact('partitions'),
  id: 'cluster.partitions',
  summary: 'Partitions of a cluster, with their limits',
  response: z.strictObject({
    partitions: z.array(
      z.strictObject({
        name: z.string(),
        default: z.boolean(),
        state: z.string(),
        nodes: z.int(),
        slots: z.int(),
        maxTimeSeconds: z.int().nullable().describe('null: no limit'),
        defaultTimeSeconds: z.int().nullable(),
      }),
    ),
  }),
});

export const listNodes = operation({
  ...fact('nodes'),
  id: 'cluster.nodes',
  summary: 'Nodes of a cluster, as far as its scheduler tells',
  response: z.strictObject({
    nodes: z.array(
      z.strictObject({
        name: z.string(),
        slots: z.int(),
        free: z.int(),
        state: z.string(),
        nativeState: z.string().nullable().describe("The scheduler's own words, such as IDLE+RESERVED"),
        reason: z.string().nullable(),
        memoryMiB: z.int().nullable(),
        gres: z.string().nullable().describe('Such as gpu:4'),
        partitions: z.array(z.string()),
      }),
    ),
  }),
});

export const listReservations = operation({
  ...fact('reservations'),
  id: 'cluster.reservations',
  summary: 'Reservations of a cluster: when, where, what for',
  response: z.strictObject({
    reservations: z.array(
      z.strictObject({
        name: z.string(),
        start: timeField,
        end: timeField,
        nodes: z.array(z.string()),
        nodeCount: z.int(),
        partition: z.string(),
        flags: z.array(z.string()).describe('Such as MAINT'),
      }),
    ),
  }),
});

export const showDiagnostics = operation({
  ...fact('diagnostics'),
  id: 'cluster.diagnostics',
  summary: "Health of a cluster's scheduler",
  response: z.strictObject({
    controller: z.enum(['up', 'down']),
    database: z.enum(['up', 'down', 'unknown']),
    slurmVersion: z.string(),
    apiVersion: z.string().nullable().describe('Of slurmrestd; null where only the command line is used'),
    jobsRunning: z.int(),
    jobsPending: z.int(),
    rpcsServed: z.int().describe('Since its counters were reset'),
    backfillDepth: z.int(),
    lastCycleMicroseconds: z.int(),
    agentQueue: z.int(),
  }),
});

const historyPage = {
  since: timeField.optional().describe('Default: a day before until'),
  until: timeField.optional().describe('Default: now'),
  after: wordField.optional().describe('`next` of the page before, with the same since and until'),
  limit: limitField,
};

const historyResponse = z.strictObject({
  rows: z.array(
    z.strictObject({
      nativeId: z.string(),
      job: z.string().nullable().describe('Our id, where it came through us'),
      name: z.string(),
      user: z.string(),
      account: z.string(),
      tier: z.string(),
      partition: z.string(),
      state: z.string(),
      exitCode: z.int().nullable(),
      submittedAt: timeField,
      startedAt: timeField.nullable(),
      endedAt: timeField.nullable(),
      nodes: z.int(),
      slots: z.int(),
    }),
  ),
  next: z.string().nullable(),
  since: timeField,
  until: timeField,
});

export const listHistory = operation({
  ...fact('history'),
  id: 'cluster.history',
  summary: "A project's jobs in a cluster's accounting, ours and those of other ways in",
  query: z.strictObject({ project: nameField.optional(), ...historyPage }),
  response: historyResponse,
});

/** Everybody's jobs: for those who run the facility. */
export const listWholeHistory = operation({
  ...fact('history/all'),
  id: 'cluster.whole-history',
  summary: "All jobs in a cluster's accounting",
  query: z.strictObject(historyPage),
  response: historyResponse,
  action: 'node:read',
});

export const listForeign = operation({
  ...fact('foreign'),
  id: 'cluster.foreign',
  summary: "Jobs in a cluster's queue that the project submitted past Beamway",
  query: z.strictObject({ project: nameField.optional() }),
  response: z.strictObject({
    jobs: z.array(
      z.strictObject({
        nativeId: z.string(),
        name: z.string(),
        user: z.string(),
        account: z.string(),
        tier: z.string(),
        partition: z.string(),
        state: z.string(),
        reason: z.string(),
        nodes: z.int(),
        submittedAt: timeField,
      }),
    ),
  }),
});
