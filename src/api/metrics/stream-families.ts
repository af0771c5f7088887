/** Streams and their nodes as families of samples. Pure. Streams that were released are not shown; of the others the oldest STREAMS_SHOWN, and how many more there are. */
import { NODE_SILENT_MS, type Stream, streamState } from '../../streaming/index.ts';
import type { Family, Sample } from './exposition.ts';

/** Each stream is some twenty series. */
export const STREAMS_SHOWN = 1000;

export interface NodeSight {
  readonly name: string;
  readonly lastSeenAt: Date | null;
  /** What it must hold, and what it holds. */
  readonly version: number;
  readonly appliedVersion: number;
}

type Counters = NonNullable<Stream['observed']>['counters'];
type Row = readonly [name: string, type: Family['type'], help: string, value: (of: Counters) => number | undefined];

const COUNTED: readonly Row[] = [
  ['messages_in_total', 'counter', 'Messages put in', (c) => c.messagesIn],
  ['messages_out_total', 'counter', 'Messages taken out', (c) => c.messagesOut],
  ['bytes_in_total', 'counter', 'Octets put in', (c) => c.bytesIn],
  ['bytes_out_total', 'counter', 'Octets taken out', (c) => c.bytesOut],
  ['dropped_total', 'counter', 'Messages dropped because the buffer was full', (c) => c.dropped],
  ['redelivered_total', 'counter', 'Messages delivered again', (c) => c.redelivered],
  ['refused_connections_total', 'counter', 'Connections refused', (c) => c.refused],
  [
    'unconfirmed_total',
    'counter',
    'Messages published without confirms (rabbitmq behind our gateway)',
    (c) => c.unconfirmed,
  ],
  ['buffered_messages', 'gauge', 'Messages in the buffer', (c) => c.buffered],
  ['buffered_bytes', 'gauge', 'Octets in the buffer', (c) => c.bufferedBytes],
  ['producers', 'gauge', 'Connections of producers', (c) => c.producers],
  ['consumers', 'gauge', 'Connections of consumers', (c) => c.consumers],
];

/** 0, no quota, has no series. */
const bound = (quota: number | undefined): number | undefined =>
  quota === undefined || quota === 0 ? undefined : quota;

type StreamRow = readonly [Row[0], Row[1], Row[2], (of: Stream) => number | undefined];

const QUOTAS: readonly StreamRow[] = [
  ['used_bytes_total', 'counter', 'Octets put in over its whole life', (s) => s.observed?.usage?.bytes],
  ['used_messages_total', 'counter', 'Messages put in over its whole life', (s) => s.observed?.usage?.messages],
  ['quota_bytes', 'gauge', 'Octets that may be put in over its whole life', (s) => bound(s.lease.byteQuota)],
  ['quota_messages', 'gauge', 'Messages that may be put in over its whole life', (s) => bound(s.lease.messageQuota)],
];

export function streamFamilies(streams: readonly Stream[], now: number): readonly Family[] {
  const shown = streams.slice(0, STREAMS_SHOWN);
  const gauge = (name: string, help: string, value: (stream: Stream) => number): Family => ({
    name: `beamway_stream_${name}`,
    type: 'gauge',
    help,
    samples: shown.map((stream) => ({ labels: labelsOf(stream), value: value(stream) })),
  });
  /** Streams without a value have no sample. */
  const counted = ([name, type, help, value]: StreamRow): Family => ({
    name: `beamway_stream_${name}`,
    type,
    help,
    samples: shown.flatMap((stream): Sample[] => {
      const known = value(stream);
      return known === undefined ? [] : [{ labels: labelsOf(stream), value: known }];
    }),
  });
  return [
    gauge('ready', '1 while its node reports it ready', (s) => (streamState(s, now).state === 'ready' ? 1 : 0)),
    gauge('buffer_limit_bytes', 'Octets that the buffer may hold', (s) => s.lease.bufferBytes),
    gauge('expires_timestamp_seconds', 'When it ends unless extended', (s) => s.expiresAt.getTime() / 1000),
    ...COUNTED.map(([name, type, help, value]) =>
      counted([name, type, help, ({ observed }) => (observed === null ? undefined : value(observed.counters))]),
    ),
    ...QUOTAS.map(counted),
    {
      name: 'beamway_streams_not_shown',
      type: 'gauge',
      help: `Live streams beyond the ${STREAMS_SHOWN} that have series of their own`,
      samples: [{ labels: {}, value: streams.length - shown.length }],
    },
  ];
}

const labelsOf = ({ id, project, node, lease }: Stream): Record<string, string> => ({
  stream: id,
  project,
  node,
  engine: lease.engine,
});

export function nodeFamilies(nodes: readonly NodeSight[], streams: readonly Stream[], now: number): readonly Family[] {
  const gauge = (name: string, help: string, value: (node: NodeSight) => number | undefined): Family => ({
    name: `beamway_node_${name}`,
    type: 'gauge',
    help,
    samples: nodes.flatMap((node) => {
      const known = value(node);
      return known === undefined ? [] : [{ labels: { node: node.name }, value: known }];
    }),
  });
  const ageMs = ({ lastSeenAt }: NodeSight) => (lastSeenAt === null ? undefined : now - lastSeenAt.getTime());
  const own = (node: NodeSight) => streams.filter((s) => s.node === node.name);
  return [
    gauge('up', '1 while the node reports', (n) => ((ageMs(n) ?? Number.POSITIVE_INFINITY) <= NODE_SILENT_MS ? 1 : 0)),
    gauge('last_seen_age_seconds', 'Since it last reported', (n) => {
      const age = ageMs(n);
      return age === undefined ? undefined : age / 1000;
    }),
    gauge('leases', 'Streams that it holds or must hold', (n) => own(n).length),
    gauge('version_lag', 'Changes of its leases that it has not applied', (n) =>
      Math.max(0, n.version - n.appliedVersion),
    ),
    gauge('buffer_reserved_bytes', 'Buffers of its streams', (n) =>
      own(n).reduce((sum, s) => sum + s.lease.bufferBytes, 0),
    ),
  ];
}
