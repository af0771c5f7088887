/** GET /metrics. */
import type { Clock } from '../../clock.ts';
import { type Database, outboxBacklog } from '../../database/index.ts';
import { liveStreams, nodeRows } from '../../streaming/index.ts';
import { exposition, type Family } from '../metrics/exposition.ts';
import type { RequestMetrics } from '../metrics/request-metrics.ts';
import { nodeFamilies, streamFamilies } from '../metrics/stream-families.ts';
import type { Routes } from '../route.ts';

export interface MetricsDeps {
  readonly database: Pick<Database, 'kysely' | 'pool'>;
  readonly clock: Clock;
  readonly requests: RequestMetrics;
}

export function metricsRoutes({ database, clock, requests }: MetricsDeps): Pick<Routes, 'metrics.show'> {
  const db = database.kysely;
  return {
    'metrics.show': {
      async handle() {
        const [streams, rows, backlog] = await Promise.all([liveStreams(db), nodeRows(db), outboxBacklog(db)]);
        const nodes = rows.map((row) => ({
          name: row.name,
          lastSeenAt: row.last_seen_at,
          version: row.version,
          appliedVersion: row.applied_version,
        }));
        const now = clock.now();
        return exposition([
          ...streamFamilies(streams, now),
          ...nodeFamilies(nodes, streams, now),
          ...requests.families(),
          ...ownFamilies(database.pool, backlog),
        ]);
      },
    },
  };
}

function ownFamilies(
  pool: Pick<Database['pool'], 'totalCount' | 'idleCount' | 'waitingCount'>,
  { pending, consumers }: Awaited<ReturnType<typeof outboxBacklog>>,
): readonly Family[] {
  return [
    {
      name: 'beamway_outbox_pending',
      type: 'gauge',
      help: 'Events that are not in sequence yet',
      samples: [{ labels: {}, value: pending }],
    },
    {
      name: 'beamway_outbox_behind',
      type: 'gauge',
      help: 'Events that a consumer of the outbox has still to handle',
      samples: consumers.map(({ name, behind }) => ({ labels: { consumer: name }, value: behind })),
    },
    {
      name: 'beamway_database_connections',
      type: 'gauge',
      help: 'Of the pool of this replica, by what they do; waiting: requests without one',
      samples: [
        { labels: { state: 'busy' }, value: pool.totalCount - pool.idleCount },
        { labels: { state: 'idle' }, value: pool.idleCount },
        { labels: { state: 'waiting' }, value: pool.waitingCount },
      ],
    },
  ];
}
