/**
 * Clusters: what there is now, and how a cluster's Slurm agent gets its link. The link itself is a WebSocket at the path of `cluster.link`, opened with the ticket;
 * its frames are src/slurm/contract/link.ts. RFD 4.
 */
import { z } from 'zod';
import { nameField, timeField } from './fields.ts';
import { operation } from './operation.ts';

export const listClusters = operation({
  id: 'cluster.list',
  method: 'GET',
  path: '/beamway/v1/clusters',
  summary: 'Clusters and their nodes now',
  tag: 'facility',
  response: z.strictObject({
    clusters: z.array(
      z.strictObject({
        name: z.string(),
        scheduler: z.string(),
        linked: z.boolean().describe('Its scheduler can be reached by this replica; of a local cluster always so'),
        reason: z.string().describe('Why no nodes are listed, in plain words; empty where they are'),
        nodes: z.array(z.strictObject({ name: z.string(), slots: z.int(), free: z.int(), state: z.string() })),
      }),
    ),
  }),
  action: 'job:read',
});

export const linkCluster = operation({
  id: 'cluster.link',
  method: 'POST',
  path: '/beamway/v1/clusters/{id}/link',
  summary:
    "A one-time ticket with which a cluster's Slurm agent opens its WebSocket at the same path of the same replica",
  tag: 'nodes',
  params: z.strictObject({ id: nameField }),
  response: z.strictObject({
    url: z.string().describe('Relative to the address that was asked: a ticket is known to the replica that gave it'),
    ticket: z.string().describe('256 random bits; goes into Sec-WebSocket-Protocol as beamway.ticket.<ticket>'),
    expiresAt: timeField,
  }),
  action: 'cluster:link',
  audit: 'mutation',
  shownOnce: true,
});

export type LinkAnswer = z.output<typeof linkCluster.response>;
